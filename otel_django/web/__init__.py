"""What is answered over HTTP: the endpoints that a site includes, and the listener of workers."""

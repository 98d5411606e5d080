"""Ways to tell somebody of alerts; a file each."""

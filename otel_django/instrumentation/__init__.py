"""One file a library; each offers ``install`` and ``uninstall``, explicit, repeatable, reversible."""

"""One file a library; each has ``install`` and ``uninstall``, explicit, repeatable, reversible."""

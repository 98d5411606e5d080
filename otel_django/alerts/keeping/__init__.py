"""Where alerts are kept: the site's database, and a journal of this host while that is away."""

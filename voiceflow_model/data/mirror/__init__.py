"""A corpus copied to a bucket or a folder through RAM."""

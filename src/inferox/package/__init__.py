"""What lies on disk: writing, reading and verifying packages."""

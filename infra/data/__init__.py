"""What outlives a release: the database and the stored secrets."""

"""Models: the bundled ones, users' own, their losses, and whether they fit the data."""

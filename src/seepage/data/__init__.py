"""Datasets: the bundled ones, files, and users' own arrays; and who holds which record."""

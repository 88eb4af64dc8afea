"""Inversions by a network that was trained on auxiliary records."""

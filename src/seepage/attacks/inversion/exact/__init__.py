"""Inversions in closed form: they return records exactly, or say that they can't."""

"""Gradient distances and their slopes without double backward, for layers with known rules."""

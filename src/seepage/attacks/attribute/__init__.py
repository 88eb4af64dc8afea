"""Attribute inference: labels and other properties read off an update."""

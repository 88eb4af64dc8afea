"""Attacks that claim attributes of a batch, such as its labels."""

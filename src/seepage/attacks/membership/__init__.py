"""Membership inference: who was in the training data."""

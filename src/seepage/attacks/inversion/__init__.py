"""Attacks that claim records: what was in the batch."""

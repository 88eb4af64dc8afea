"""Defenses that protect single records in a client's local steps, and what they share."""

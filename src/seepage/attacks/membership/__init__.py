"""Attacks that claim membership: which candidates were trained on."""

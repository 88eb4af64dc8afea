"""Attacks that claim links: which of several a record belongs to."""

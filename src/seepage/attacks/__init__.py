"""Attacks: each turns what an observer saw into a claim about the records behind it."""

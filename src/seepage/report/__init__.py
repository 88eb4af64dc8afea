"""Turns a result into what a person or a pipeline reads; needs no torch."""

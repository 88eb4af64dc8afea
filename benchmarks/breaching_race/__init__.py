"""The parts of `inversion_vs_breaching.py`."""

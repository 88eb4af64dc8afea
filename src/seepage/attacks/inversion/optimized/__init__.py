"""Inversions by search: a batch whose gradient matches the observed one."""

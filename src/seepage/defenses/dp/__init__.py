"""Differential privacy: noise that bounds what any attacker learns, with its epsilon."""

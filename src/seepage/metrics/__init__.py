"""How near a claim is to the truth: pure functions, and estimates with their intervals."""

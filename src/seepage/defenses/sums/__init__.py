"""Defenses that form a round's sum by a real protocol of `crypto`: nobody sees a single update."""

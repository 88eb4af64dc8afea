"""The nouns: types, threat model, cards, registry, plan, intervals, results and errors."""

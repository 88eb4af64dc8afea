"""Real datasets that are too large to bundle: read from the data folder."""

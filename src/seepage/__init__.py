"""Attack your federated model before somebody else does."""

"""What the attacks by optimization search with: distances, descents, priors, starts."""

"""How much of a batch's attribute values a guess gets right, whatever their order."""

import torch
from torch import Tensor


def multiset_hits(guess: Tensor, truth: Tensor) -> int:
    """Return how many true values `[b]` are matched by a guessed value `[k]`, each once.

    >>> multiset_hits(torch.tensor([1, 1, 2]), torch.tensor([1, 2, 2]))
    2
    """
    values = torch.cat([guess, truth]).unique()
    guessed = (guess[:, None] == values).sum(0)
    true = (truth[:, None] == values).sum(0)
    return int(torch.minimum(guessed, true).sum())

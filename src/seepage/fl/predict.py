"""A model's answers, in evaluation mode, a slice of the records at a time."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

SLICE = 512


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the raw outputs `[n, ...]` for inputs `[n, *shape]`.

    A copy of the model is run, so nothing that a module keeps of its inputs stays in it.
    """
    copy = deepcopy(model).eval()
    with torch.no_grad():
        return torch.cat([copy(chunk) for chunk in inputs.split(SLICE)])

"""Small convolutions without oneDNN, whose set-up costs more than their arithmetic."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from ....layers import layer_runs

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import Tensor

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Measured on one CPU core with double backward: below it up to 2.5 times as fast, above it slower.
_MOST_VALUES = 6144


@contextmanager
def small_convolutions(model: nn.Module, inputs: Tensor) -> Generator[None, None, None]:
    """Turn oneDNN off within, if the largest feature map that `inputs` make is small.

    The choice depends on shapes alone, so that results do not depend on the clock.
    """
    runs, _ = layer_runs(model, inputs.detach())
    sizes = [run.output.numel() for run in runs if isinstance(run.module, _CONVOLUTIONS)]
    backend = torch.backends.mkldnn
    before = backend.enabled
    try:
        if sizes and max(sizes) <= _MOST_VALUES:
            backend.enabled = False  # pyright: ignore[reportAttributeAccessIssue]
        yield
    finally:
        backend.enabled = before

"""Records that stand for the victims' where an attacker holds none like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.views import AggregateView, ServerKnowledge, UpdateView


def noise_records(
    view: UpdateView | AggregateView | ServerKnowledge, count: int, rng: torch.Generator
) -> Tensor:
    """Return uniform noise in the range of the inputs (-1 to 1 without one), `[count, *shape]`."""
    like = next(view.model.parameters())
    noise = torch.rand(count, *view.job.input_shape, generator=rng).to(like.dtype)
    low, high = view.job.value_range or (-1.0, 1.0)
    return low + (high - low) * noise

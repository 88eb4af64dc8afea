"""What public defenses do to an update, replayed on many simulated updates at once.

An attacker knows each mechanism and its parameters from the public card, not its random
draws. Noise that comes last is kept apart as a standard deviation: a linear feature of a
noisy update is then the feature plus noise, which can be drawn again and again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.cards import DefenseCard

_MODELED = ("dp-sgd", "local-dp", "central-dp", "top-k", "secure-aggregation")


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """Updates `[..., p]` as they leave, but for Gaussian noise of this deviation on each value."""

    values: Tensor
    noise: float = 0.0

    def realized(self, rng: torch.Generator) -> Tensor:
        """Return the updates with the noise drawn."""
        if not self.noise:
            return self.values
        return self.values + self.noise * torch.randn(
            self.values.shape, generator=rng, dtype=self.values.dtype
        )


def unmodeled(defenses: Iterable[DefenseCard]) -> list[str]:
    """Return the names of the defenses that are taken for none."""
    return [card.name for card in defenses if card.name not in _MODELED]


def record_clipping(defenses: Iterable[DefenseCard]) -> float | None:
    """Return the norm that DP-SGD clips each record's gradient to, or None without DP-SGD."""
    card = next((c for c in defenses if c.name == "dp-sgd"), None)
    return None if card is None else float(card.settings["max_grad_norm"])


def sent(
    updates: Tensor,
    defenses: Iterable[DefenseCard],
    *,
    batch: int,
    steps: int,
    lr: float,
    rng: torch.Generator,
) -> Released:
    """Return what clients send, given their updates `[..., p]`.

    `updates` come from `steps` local steps at rate `lr` on `batch` records each, clipped by
    record already where DP-SGD says so. Its noise is taken to add up over the steps.
    """
    released = Released(updates)
    for card in defenses:
        if card.name == "dp-sgd":
            std = card.settings["noise_multiplier"] * card.settings["max_grad_norm"]
            released = Released(updates, lr * std / batch * math.sqrt(steps))
        elif card.name == "local-dp":
            clipped = clip(released.realized(rng), card.settings["max_norm"])
            noise = card.settings["noise_multiplier"] * card.settings["max_norm"]
            released = Released(clipped, noise)
        elif card.name == "top-k":
            released = Released(top_k(released.realized(rng), card.settings["fraction"]))
    return released


def aggregated(
    released: Released, defenses: Iterable[DefenseCard], rng: torch.Generator
) -> Released:
    """Return the mean over clients of what they sent, `[..., clients, p]` to `[..., p]`."""
    clients = released.values.shape[-2]
    central = [card for card in defenses if card.name == "central-dp"]
    for card in central:
        released = Released(clip(released.realized(rng), card.settings["max_norm"]))
    variance = released.noise**2 / clients
    for card in central:
        std = card.settings["noise_multiplier"] * card.settings["max_norm"] / clients
        variance += std**2
    return Released(released.values.mean(-2), math.sqrt(variance))


def clip(updates: Tensor, max_norm: float) -> Tensor:
    """Return updates `[..., p]` scaled down to an L2 norm of at most `max_norm` each."""
    norms = updates.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(updates.dtype).tiny)
    return updates * (max_norm / norms).clamp(max=1)


def top_k(updates: Tensor, fraction: float) -> Tensor:
    """Return updates `[..., p]` with all but their largest `fraction` of values set to zero."""
    values = updates.shape[-1]
    kept = min(values, max(1, round(fraction * values)))
    index = updates.abs().topk(kept, dim=-1).indices
    return torch.zeros_like(updates).scatter(-1, index, updates.gather(-1, index))

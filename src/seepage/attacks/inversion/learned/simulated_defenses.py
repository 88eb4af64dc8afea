"""What public defenses do to an update, replayed on many simulated updates at once.

An attacker knows each mechanism and its parameters from the public card, not its random
draws. Noise that comes last is kept apart as a standard deviation: a linear feature of a
noisy update is then the feature plus noise, which can be drawn again and again. Laplace noise
is kept so too, as a feature sums up many values of it. Where noise depends on a defense's own
earlier releases, which its card does not tell, it is that of the first step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...record_defenses import RECORD_LEVEL, RecordDefense, record_defense

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.cards import DefenseCard

_MODELED = (*RECORD_LEVEL, "local-dp", "central-dp", "top-k")


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """Updates `[..., p]` as they leave, but for Gaussian noise of this deviation on each value.

    `noise` is one number, or one for each coordinate, `[p]`.
    """

    values: Tensor
    noise: float | Tensor = 0.0

    def realized(self, rng: torch.Generator) -> Tensor:
        """Return the updates with the noise drawn."""
        if not isinstance(self.noise, torch.Tensor) and not self.noise:
            return self.values
        return self.values + self.noise * torch.randn(
            self.values.shape, generator=rng, dtype=self.values.dtype
        )


def unmodeled(defenses: Sequence[DefenseCard]) -> list[str]:
    """Return the names of the defenses that are taken for none."""
    exact = {card.name for card in defenses if card.sums and card.guarantee == "none"}
    return [card.name for card in defenses if card.name not in exact.union(_MODELED)]


def simulated_by_record(
    defenses: Iterable[DefenseCard], like: Mapping[str, Tensor], step: int
) -> RecordDefense | None:
    """Return how the job's local step number `step` clips records and noises their sum.

    None without such a defense. `like` has a tensor of the shape of each parameter by name.
    """
    cards = list(defenses)
    told = [found for at in (step, 0) if (found := record_defense(cards, like, at))]
    return next((found for found in told if found.deviations is not None), next(iter(told), None))


def sent(
    updates: Tensor,
    defenses: Iterable[DefenseCard],
    *,
    batch: int,
    steps: int,
    lr: float,
    rng: torch.Generator,
    by_record: RecordDefense | None = None,
    like: Mapping[str, Tensor] | None = None,
) -> Released:
    """Return what clients send, given their updates `[..., p]`.

    `updates` come from `steps` local steps at rate `lr` on `batch` records each, clipped by
    record already where `by_record` says so; its noise is taken to add up over the steps.
    `like` has the tensors of an update in their order, on which that noise is laid out.
    """
    released = Released(updates)
    for card in defenses:
        if card.name in RECORD_LEVEL and by_record is not None:
            on_sum = _on_the_sum(card, by_record, like or {})
            released = Released(updates, lr / batch * steps**0.5 * on_sum)
        elif card.name == "local-dp":
            released = _local_dp(released.realized(rng), card)
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
    variance: float | Tensor = released.noise**2 / clients
    for card in central:
        std = card.settings["noise_multiplier"] * card.settings["max_norm"] / clients
        variance = variance + std**2
    return Released(released.values.mean(-2), variance**0.5)


def _on_the_sum(
    card: DefenseCard, by_record: RecordDefense, like: Mapping[str, Tensor]
) -> float | Tensor:
    """Return the deviation of a step's noise, one number where it is even, else `[p]`."""
    told = by_record.deviations
    if told is None:
        return float(card.settings["noise_multiplier"] * card.settings["max_grad_norm"])
    values = [told[name] for name in like if name in told] or list(told.values())
    if all(isinstance(v, float) and v == values[0] for v in values):
        return float(values[0])
    flat = [
        # Buffers get no noise of their own.
        torch.as_tensor(told.get(name, 0.0)).to(tensor).expand(tensor.shape).flatten()
        for name, tensor in like.items()
    ]
    return torch.cat(flat)


def _local_dp(updates: Tensor, card: DefenseCard) -> Released:
    laplace = card.settings.get("noise") == "laplace"
    most, times = card.settings["max_norm"], card.settings["noise_multiplier"]
    # The multiplier of Laplace noise is of its scale, below its deviation by sqrt 2.
    noise = times * most * (2**0.5 if laplace else 1.0)
    return Released(clip(updates, most, order=1 if laplace else 2), noise)


def clip(updates: Tensor, max_norm: float, *, order: int = 2) -> Tensor:
    """Return updates `[..., p]` scaled down to an L2 (or L1) norm of at most `max_norm` each."""
    norms = torch.linalg.vector_norm(updates, ord=order, dim=-1, keepdim=True)
    norms = norms.clamp_min(torch.finfo(updates.dtype).tiny)
    return updates * (max_norm / norms).clamp(max=1)


def top_k(updates: Tensor, fraction: float) -> Tensor:
    """Return updates `[..., p]` with all but their largest `fraction` of values set to zero."""
    values = updates.shape[-1]
    kept = min(values, max(1, round(fraction * values)))
    index = updates.abs().topk(kept, dim=-1).indices
    return torch.zeros_like(updates).scatter(-1, index, updates.gather(-1, index))

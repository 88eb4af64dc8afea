"""Batches of auxiliary records that stand for the victim's, for the attacker to learn from.

They carry the labels of the observed batch, so that the inverse has to tell records of
known labels apart and nothing else. Where a class has few auxiliary records, records of
other classes stand in under its label: how a gradient is made of an input they show as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AuxiliaryData

# One auxiliary record in so many is held out, of each class this many if half of it is enough.
_HELD = 5
# With fewer held-out records of a class, those of others are judged by as well.
ENOUGH = 10


@dataclass(frozen=True, slots=True, eq=False)
class RehearsalBatches:
    """Batches by row of the auxiliary data, and whether each record is of its slot's class.

    Fields
    ------
    rows : `[n, records]`, in the order in which the inverse returns them
    targets : `[n, records]`
    own : `[n, records]` bool: whether a record's label is its own
    """

    rows: Tensor
    targets: Tensor
    own: Tensor


def rehearsal_batches(
    auxiliary: AuxiliaryData,
    labels: Tensor | None,
    records: int,
    examples: int,
    rng: torch.Generator,
) -> tuple[RehearsalBatches, RehearsalBatches]:
    """Return `examples` batches to learn from and others to judge by, of disjoint records.

    `labels` are those of the observed batch, ascending; None where they are not known:
    then batches are drawn freely. Records of equal labels come in the order of brightness
    (their mean value), without labels in that of target and brightness.
    """
    held, fitted = _split(auxiliary, labels, rng)
    learn: list[Tensor] = []
    judge: list[Tensor] = []
    for slot in range(records):
        own, others = _by_class(auxiliary, labels, slot, fitted, rng)
        # Each record comes about as often as a batch has records, in other company each time.
        learn.append(torch.cat([own, others])[: max(len(own), examples // records)])
        own, others = _by_class(auxiliary, labels, slot, held, rng)
        judge.append(own if len(own) >= ENOUGH else torch.cat([own, others]))
    judged = min(max(1, examples // _HELD), *(len(order) for order in judge))
    return (
        _batches(auxiliary, labels, [_cycled(order, examples, rng) for order in learn]),
        _batches(auxiliary, labels, [order[:judged] for order in judge]),
    )


def _split(
    auxiliary: AuxiliaryData, labels: Tensor | None, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the rows to judge by and those to learn from, every class of the batch in both."""
    shuffled = torch.randperm(len(auxiliary.targets), generator=rng)
    wanted = torch.empty(0) if labels is None else labels.unique()
    kinds = [shuffled[auxiliary.targets[shuffled] == label] for label in wanted]
    kinds.append(shuffled[~torch.isin(auxiliary.targets[shuffled], wanted)])
    held: list[Tensor] = []
    fitted: list[Tensor] = []
    for rows in kinds:
        size = max(len(rows) // _HELD, min(ENOUGH, len(rows) // 2))
        held.append(rows[:size])
        fitted.append(rows[size:])
    return torch.cat(held), torch.cat(fitted)


def _by_class(
    auxiliary: AuxiliaryData, labels: Tensor | None, slot: int, pool: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the rows of `pool` in random order: those of the slot's class, and the others."""
    order = pool[torch.randperm(len(pool), generator=rng)]
    if labels is None:
        return order, order[:0]
    of_class = auxiliary.targets[order] == labels[slot]
    return order[of_class], order[~of_class]


def _cycled(order: Tensor, examples: int, rng: torch.Generator) -> Tensor:
    """Return `examples` rows in random order: the first of `order`, over again where too few."""
    many = order.repeat(math.ceil(examples / len(order)))[:examples]
    return many[torch.randperm(examples, generator=rng)]


def _batches(
    auxiliary: AuxiliaryData, labels: Tensor | None, slots: list[Tensor]
) -> RehearsalBatches:
    rows = _in_order(auxiliary, labels, torch.stack(slots, 1))
    true = auxiliary.targets[rows]
    targets = true if labels is None else labels.to(true.dtype).expand(len(rows), -1)
    return RehearsalBatches(rows, targets.contiguous(), true == targets)


def _in_order(auxiliary: AuxiliaryData, labels: Tensor | None, rows: Tensor) -> Tensor:
    brightness = auxiliary.inputs.flatten(1).double().mean(1)
    spread = (brightness.max() - brightness.min()).clamp_min(1e-12)
    place = (brightness - brightness.min()) / (2 * spread)
    if labels is None:
        key = auxiliary.targets[rows].double()
        if not auxiliary.targets.is_floating_point():
            key = key + place[rows]
    else:
        key = labels.double() + place[rows]
    return rows.gather(1, key.argsort(dim=1, stable=True))

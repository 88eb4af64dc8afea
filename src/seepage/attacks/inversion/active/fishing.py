"""Fishes one record out of a large batch, by changing nothing but the last linear layer.

All rows of the last weight are zero but that of class c, w. A record with features h, of
class y, then sends back to the layers below

    dL/dh = (p_c - [y = c]) w.

Class fishing: the other biases are so high that p_c = 0, and only the records of class c
send anything. Feature fishing: p_c = sigmoid(m (u.h - cutoff)) is right, and so sends
nothing, for all records but one that lies beyond the cutoff (`cutoff.py`). What arrives is
one record's gradient, however large the batch, and through a secure sum as well (Wen et
al. 2022, "Fishing for User Data in Large-Batch Federated Learning via Gradient
Magnification", arXiv 2202.00580). What was caught shows in row c (`catch.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from ....core.attack import ServerMove
from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, UsageError
from ....core.views import AuxiliaryData, BatchSize, Labels, UpdateView
from ...stand_ins import noise_records
from ..inner import inner_attack
from .catch import Catch, balanced, read_catch, wide_open
from .cutoff import choose_cutoff
from .fixed_normalization import with_fixed_normalization
from .last_layer import LastLayer, last_layer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.views import AggregateView, Fact, ServerKnowledge

_MODES = ("class", "feature")
_MOST_AUXILIARY = 1500
_STAND_INS = 64
_EXACT, _TOLD_APART = "fully-connected", 8
_MOST_CAUGHT = 64
_RESTARTS = 4
_NOISY = ("dp-sgd", "local-dp", "central-dp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fishing:
    """Class or feature fishing, and the inversion of what was caught.

    Fields
    ------
    mode : `class` catches all records of a class; `feature` aims at one record, and needs
        auxiliary data
    target : the class; -1: the one that promises a catch of exactly one record
    multiplier : steepness of the cutoff, per standard deviation of the scores of the class
        (feature fishing only); 0: the best on auxiliary data
    inner : the attack on what was caught, by name; `auto`: `fully-connected` where the first
        layer is, else `inverting-gradients`
    """

    mode: str = "feature"
    target: int = -1
    multiplier: float = 0.0
    inner: str = "auto"

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise UsageError(f"fishing: mode is {self.mode!r}; use 'class' or 'feature'")
        if self.target < -1 or not self.multiplier >= 0:
            raise UsageError("fishing: target is -1 or a class, multiplier is 0 or more")

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Send everybody the model with another last layer.

        Raises `NotApplicableError` where the last layer is no Linear with a bias and a
        logit a class, or where feature fishing has no auxiliary data or batch size.
        """
        layer = last_layer(knowledge)
        if self.target >= layer.classes:
            raise NotApplicableError(f"class {self.target} is none of {layer.classes}")
        bait = self._class if self.mode == "class" else self._feature
        model = bait(knowledge, layer, rng)
        return ServerMove(models=dict.fromkeys(knowledge.cohort, model))

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return the record that was caught; several where the first layer lets them be told.

        Raises `NotApplicableError` where the model is none that fishing sends.
        """
        update = view.update if isinstance(view, UpdateView) else view.aggregate
        if not update:
            return Reconstruction.nothing(
                view.job.input_shape, "no sum came back: the clients refused"
            )
        layer = last_layer(view)
        catch = read_catch(view, layer)
        if catch is None:
            return Reconstruction.nothing(
                view.job.input_shape, "nothing was caught: another round or class may do better"
            )
        alone = _alone(view, layer, catch, rng)
        name, attack = inner_attack(self.inner, alone, restarts=_RESTARTS)
        several = name == _EXACT and not catch.alone
        found = _several(attack, alone, catch, rng) if several else attack(alone, rng)
        return replace(
            found,
            labels=torch.full((len(found.inputs),), catch.target) if catch.own else None,
            solved=found.solved and (several or catch.alone),
            explanation=f"{_note(view, catch, found.solved)}; {found.explanation}",
        )

    def _class(
        self, knowledge: ServerKnowledge, layer: LastLayer, rng: torch.Generator
    ) -> nn.Module:
        """Return a model whose gradient comes from the records of one class."""
        target = self.target if self.target >= 0 else _likely_single(knowledge, layer.classes)
        weight, bias = layer.within(knowledge.model)
        row = weight[target]
        if not bool(row.any()):
            row = torch.randn(row.shape, generator=rng).to(row.dtype) / layer.width**0.5
        features = layer.features(knowledge.model, _stand_ins(knowledge, rng))
        only = torch.zeros_like(weight)
        only[target] = row
        return wide_open(layer.replaced(knowledge.model, only, bias), layer, features)

    def _feature(
        self, knowledge: ServerKnowledge, layer: LastLayer, rng: torch.Generator
    ) -> nn.Module:
        """Return a model whose gradient comes from the records beyond a cutoff."""
        known, records = knowledge.fact(AuxiliaryData), _records(knowledge)
        if known is None or not records:
            raise NotApplicableError(
                "feature fishing needs auxiliary data and the batch size: use mode 'class'"
            )
        step = math.ceil(len(known.targets) / _MOST_AUXILIARY)
        inputs, labels = known.inputs[::step], known.targets[::step]
        cutoff = choose_cutoff(
            layer.features(knowledge.model, inputs),
            labels,
            records,
            rng,
            classes=layer.classes,
            target=self.target,
            steepness=self.multiplier,
            most=_TOLD_APART if inner_attack(self.inner, _as_view(knowledge))[0] == _EXACT else 1,
        )
        if cutoff is None:
            raise NotApplicableError("no class has the two auxiliary records that a cutoff needs")
        weight, bias = (torch.zeros_like(part) for part in layer.within(knowledge.model))
        weight[cutoff.target] = cutoff.direction.to(weight.dtype)
        # In the others' biases: on a large bias of its own, the update would be rounded off.
        bias += float(cutoff.offset) - math.log(layer.classes - 1)
        bias[cutoff.target] = 0.0
        return layer.replaced(knowledge.model, weight, bias)


def _as_view(knowledge: ServerKnowledge) -> UpdateView:
    """Return the view, still empty, of what will come back."""
    return knowledge.of_update({}, model=knowledge.model, number=knowledge.round, client=-1)


def _records(knowledge: ServerKnowledge) -> int:
    """Return the records behind the gradient that will come back, 0 where it is not known."""
    size = knowledge.fact(BatchSize)
    if size is None:
        return 0
    summed = any(card.sums for card in knowledge.defenses)
    return size.value * (len(knowledge.cohort) if summed else 1)


def _likely_single(knowledge: ServerKnowledge, classes: int) -> int:
    """Return the class of which one record, exactly, is likeliest to be there."""
    known = knowledge.fact(AuxiliaryData)
    if known is None:
        return 0
    shares = (torch.bincount(known.targets, minlength=classes) + 1).double()
    shares /= shares.sum()
    others = max(_records(knowledge), 1) - 1
    return int((shares.log() + others * torch.log1p(-shares)).argmax())


def _stand_ins(view: UpdateView | AggregateView | ServerKnowledge, rng: torch.Generator) -> Tensor:
    """Return noise in the range of the data, and auxiliary inputs, `[n, *shape]`."""
    noise = noise_records(view, _STAND_INS, rng)
    known = view.fact(AuxiliaryData)
    return noise if known is None else torch.cat([noise, known.inputs[:_STAND_INS]])


def _alone(
    view: UpdateView | AggregateView, layer: LastLayer, catch: Catch, rng: torch.Generator
) -> UpdateView:
    """Return the view of the one record's update, under a model that catches any."""
    model, gradient = balanced(with_fixed_normalization(view), layer, catch)
    job = replace(view.job, local_steps=1)
    facts: tuple[Fact, ...] = tuple(f for f in view.facts if not _counts(f))
    seen = view.of_update(
        {name: -job.lr * value for name, value in gradient.items()},
        model=wide_open(model, layer, layer.features(model, _stand_ins(view, rng))),
        number=view.round,
        client=-1 if not isinstance(view, UpdateView) else view.client,
    )
    return replace(
        seen,
        job=job,
        # Its parts were scaled, so what is known of the noise on them holds no longer.
        defenses=tuple(card for card in view.defenses if card.name not in _NOISY),
        facts=(*facts, BatchSize(1), Labels(torch.tensor([catch.target]))),
    )


def _several(attack: Any, view: UpdateView, catch: Catch, rng: torch.Generator) -> Reconstruction:
    """Return as many records as the catch weighs, or else as many as stand out of the noise."""
    others = tuple(f for f in view.facts if not _counts(f))
    count = max(1, round(catch.count)) if catch.count < _MOST_CAUGHT else 1
    few = attack(replace(view, facts=(*others, BatchSize(count))), rng)
    if few.solved:
        return few
    all_of_them = attack(replace(view, facts=others), rng)
    return all_of_them if all_of_them.solved else few


def _counts(fact: Fact) -> bool:
    return isinstance(fact, BatchSize | Labels)


def _note(view: UpdateView | AggregateView, catch: Catch, solved: bool) -> str:
    kind = f"of class {catch.target}" if catch.own else f"not of class {catch.target}"
    size = view.fact(BatchSize)
    if size is None:
        return f"records {kind} were fished; how many is not known without the batch size"
    if not catch.count:
        return f"records {kind} were fished, too faint to be counted"
    if catch.alone:
        return f"one record of the batch, {kind}, was fished"
    doubt = "" if solved else ": the one shown may be a mixture"
    return f"the catch weighs as much as {catch.count:.1f} records {kind}{doubt}"

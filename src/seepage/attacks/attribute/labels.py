"""The labels of a batch from the gradient of the last linear layer.

With cross-entropy the gradient of a record's logits is p - e_y: its probabilities, less 1
at its label. It is what the record adds to the bias gradient of the last layer. For one
record the label is the only negative entry (iDLG: Zhao, Mopuri & Bilen 2020, arXiv
2001.02610). For a batch of B, B times the bias gradient is sum_i p_i - counts, so that a
guess of the probabilities gives the counts (LLG: Wainakh et al. 2022, arXiv 2105.09369;
Geng et al. 2021, arXiv 2110.09074). The attacker takes what a record of each class adds on
average from records like the victims', run through the model, and solves for the likeliest
whole counts (`counting.py`); without such records it runs noise. Without a bias, the weight
gradient along the mean feature stands in for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...core.claims import AttributeGuess
from ...core.errors import NotApplicableError
from ...core.views import AggregateView, AuxiliaryData, BatchSize, Labels, UpdateView
from ..layers import LayerRun, layer_runs, parameter_name
from ..stand_ins import noise_records
from .counting import ClassGradients
from .responses import answer_chances, likeliest_truths
from .sent_rows import logit_sums

if TYPE_CHECKING:
    from ...core.views import Loss

_MOST_REFERENCES = 512
_STAND_INS = 16
# Share of zeros above which an update under a defense is taken for sparse.
_SPARSE = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCounts:
    """Guesses the labels of the batch behind an update. It has no hyper-parameters.

    Under randomized response it guesses the true labels behind those that were trained on.
    """

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> AttributeGuess:  # noqa: ARG002
        """Return a label for each record of a local step, over all contributors.

        Raises `NotApplicableError` where the batch size is not known, or as
        `recover_labels` does.
        """
        size = view.fact(BatchSize)
        if size is None:
            raise NotApplicableError("the batch size is not known to this observer")
        contributors = view.contributors if isinstance(view, AggregateView) else 1
        values = recover_labels(view, size.value * contributors)
        chances = answer_chances(view.defenses, view.job.classes)
        if chances is not None:
            _, _, frequency = _references(view)
            values = likeliest_truths(values, frequency, chances)
        return AttributeGuess(attribute="label", values=values)


def batch_labels(view: UpdateView | AggregateView, records: int) -> Tensor:
    """Return labels of `records` records, int64: those that the observer was given, else recovered.

    Labels that were given for another number of records are none for these. Raises
    `NotApplicableError` for regression, and as `recover_labels` does.
    """
    if view.job.classes < 2:
        raise NotApplicableError(
            "the model has no two outputs to classify by: only class labels are searched with; "
            "spear, fully-connected and ica need no targets"
        )
    given = view.fact(Labels)
    if given is not None and len(given.value) == records:
        return given.value.long()
    return recover_labels(view, records)


def recover_labels(view: UpdateView | AggregateView, batch_size: int) -> Tensor:
    """Return the likeliest labels of `batch_size` records, int64 `[batch_size]`, ascending.

    The gradient is taken as the mean over these records. Raises `NotApplicableError` for
    regression, for a model whose last layer with parameters is not linear with an output
    for each class, or where the update does not hold that layer or is not finite.
    """
    classes = view.job.classes
    if classes < 2:
        raise NotApplicableError("the job is a regression: its records have no class labels")
    if batch_size < 1:
        raise NotApplicableError(f"a batch of {batch_size} records has no labels")
    label = _label_of_one(view, classes) if batch_size == 1 else None
    if label is not None:
        return label
    inputs, targets, frequency = _references(view)
    head, gradients = _logit_gradients(view.model, view.loss, inputs, targets, classes)
    weight, bias = _observed(view, head)
    sums = logit_sums(weight, bias, head.input.mean(0), _unsent_bound(view))
    if bias is not None and batch_size == 1:
        return sums.value.argmin()[None]
    gradients = sums.of(gradients, head.input)
    total = sums.value * batch_size
    least = torch.zeros(classes, dtype=torch.int64)
    others = gradients.scatter(1, targets[:, None], 0.0)
    present = total < -1e-6 * total.abs().max()
    if not view.defenses and bool((others >= 0).all()) and int(present.sum()) <= batch_size:
        least = present.long()
    chances = answer_chances(view.defenses, classes)
    if chances is not None:  # clients train on answers, which are more even than the truth
        frequency = (frequency.double() @ chances).to(frequency.dtype)
    known = ClassGradients.of(gradients, targets, frequency)
    counts = known.counts(total, batch_size, least, sums.variance * batch_size**2)
    return torch.arange(classes).repeat_interleave(counts)


def _label_of_one(view: UpdateView | AggregateView, classes: int) -> Tensor | None:
    """Return the label of a single record, `[1]`, None where it takes more than a look."""
    head, _ = _head(view.model, _noise(view)[:1], classes)
    weight, bias = _observed(view, head)
    if bias is None:
        # Rows of the weight gradient add up to 0, and all others lie against the label's.
        return weight.norm(dim=1).argmax()[None] if classes > 2 else None
    return bias.argmin()[None] if _unsent_bound(view) is None else None


def _references(view: UpdateView | AggregateView) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs `[n, *shape]` and labels `[n]` of every class, and class frequencies.

    A class without auxiliary records is stood in for by other inputs with its label.
    """
    known = view.fact(AuxiliaryData)
    classes = view.job.classes
    if known is None or not len(known.targets):
        inputs, targets = _noise(view), torch.empty(0, dtype=torch.int64)
        held = inputs[:0]
    else:
        step = math.ceil(len(known.targets) / _MOST_REFERENCES)
        inputs, targets = known.inputs[::step], known.targets[::step].long()
        held = inputs
    tally = torch.bincount(targets, minlength=classes)
    missing = torch.nonzero(tally == 0).flatten()
    some = inputs[:_STAND_INS]
    inputs = torch.cat([held, *[some for _ in missing]])
    targets = torch.cat([targets, missing.repeat_interleave(len(some))])
    return inputs, targets, (tally + 1) / (tally + 1).sum()


def _noise(view: UpdateView | AggregateView) -> Tensor:
    """Return the same noise at each call: it is no secret."""
    return noise_records(view, _STAND_INS, torch.Generator().manual_seed(0))


def _logit_gradients(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, classes: int
) -> tuple[LayerRun, Tensor]:
    """Return the run of the last layer, and each record's gradient of its output, `[n, classes]`.

    They come from the loss itself, so that label smoothing is accounted for.
    """
    head, outputs = _head(model, inputs, classes)
    mean = torch.autograd.grad(loss(outputs, targets), head.output)[0]
    return LayerRun(head.name, head.module, head.input.detach(), mean), mean * len(targets)


def _head(model: nn.Module, inputs: Tensor, classes: int) -> tuple[LayerRun, Tensor]:
    """Return the run of the last layer, which puts out the logits, and the model's outputs."""
    runs, outputs = layer_runs(model, inputs)
    head = runs[-1] if runs else None
    if head is None or not isinstance(head.module, nn.Linear) or head.output.ndim != 2:
        layer = "none" if head is None else type(head.module).__name__
        raise NotApplicableError(
            f"the last layer with parameters is {layer}; labels are read off an nn.Linear"
        )
    if head.output.shape[1] != classes:
        raise NotApplicableError(
            f"the last layer has {head.output.shape[1]} outputs for {classes} classes"
        )
    return head, outputs


def _observed(view: UpdateView | AggregateView, head: LayerRun) -> tuple[Tensor, Tensor | None]:
    """Return the mean gradient of the last layer's weight, and of its bias where it has one."""
    update = view.update if isinstance(view, UpdateView) else view.aggregate
    step = -view.job.lr * view.job.local_steps
    found = [update.get(parameter_name(head, leaf)) for leaf in ("weight", "bias")]
    weight, bias = (None if u is None else u.detach() / step for u in found)
    if weight is None:
        raise NotApplicableError("the update does not hold the last layer's weight")
    if not all(bool(g.isfinite().all()) for g in (weight, bias) if g is not None):
        raise NotApplicableError("the update of the last layer is not finite")
    return weight, bias


def _unsent_bound(view: UpdateView | AggregateView) -> float | None:
    """Return what no unsent gradient exceeds in magnitude; None where all were sent."""
    names = {card.name for card in view.defenses}
    if not names:
        return None
    update = view.update if isinstance(view, UpdateView) else view.aggregate
    sizes = torch.cat([u.detach().abs().flatten() for u in update.values()])
    sent = sizes[sizes > 0]
    if len(sent) > (1 - _SPARSE) * len(sizes) or not len(sent):
        return None
    if "top-k" not in names:
        return math.inf
    return float(sent.min()) / (view.job.lr * view.job.local_steps)

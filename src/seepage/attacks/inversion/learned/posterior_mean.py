"""The posterior mean of a record, given its noisy gradient and records like it.

No estimate errs less than the mean of what a record may be after the release. What a fully
connected first layer's gradient says of its input is a linear look under Gaussian noise
(`noisy_layer.py`), so that with a Gaussian prior the mean is the Wiener filter, and with the
auxiliary records themselves as prior a learned denoiser (`smoothed_records.py`). Noise that
drowns the record leaves the mean record; the mean over rounds with the same record has less
of it, which is why an epsilon must be composed over all of them. The noise is that of the
public cards, by coordinate; where they do not tell, it is what one record can't explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, require_least
from ....core.views import AuxiliaryData, BatchSize, HistoryView
from ...clipped_gradients import clipped_gradients, longest_gradient
from ..exact.first_layer import first_layer
from ..observed import observed_gradient
from ..optimized.search.known_noise import known_noise
from ..optimized.several_rounds import updates_of
from .gaussian_prior import GaussianPrior
from .noisy_layer import LayerGradient, beyond_rank_one, seen_record, together
from .smoothed_records import SmoothedRecords

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....core.views import UpdateView
    from ..exact.first_layer import FirstLayer

_LEAST_AUXILIARY = 20
_MOST_AUXILIARY, _MOST_DRIVES = 1000, 256
# Of the gradient's mean square: rounding, and the least that is taken for noise.
_ROUNDING = 1e-12
_TINY = 1e-30
# In nats; under much noise rounds of one record differ by chance by less.
_CLEARLY = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PosteriorMean:
    """Prior-aware reconstruction of single records from noisy gradients.

    Of a batch it finds one blend: it is built for the gradient of one record.

    Fields
    ------
    components : principal components of the auxiliary records that the prior has, at most
    rounds : most rounds of a history that are used, evenly spread over those seen
    """

    components: int = 256
    rounds: int = 8

    def __post_init__(self) -> None:
        require_least("posterior-mean", self, components=1, rounds=1)

    def __call__(self, view: UpdateView | HistoryView, rng: torch.Generator) -> Reconstruction:
        """Return one record, or one for each round where these are clearly of several.

        Raises `NotApplicableError` without auxiliary records or the batch size, or where the
        first layer is no Linear on the flattened input.
        """
        auxiliary, size = view.fact(AuxiliaryData), view.fact(BatchSize)
        if auxiliary is None or len(auxiliary.targets) < _LEAST_AUXILIARY:
            raise NotApplicableError(
                f"the prior is made of auxiliary records: it takes {_LEAST_AUXILIARY} at least"
            )
        if size is None:
            raise NotApplicableError("the batch size is not known to this observer")
        views = updates_of(view, self.rounds) if isinstance(view, HistoryView) else [view]
        layer = first_layer(view)
        records = size.value * view.job.local_steps
        looks = [_look(one, layer, auxiliary, records) for one in views]
        held = auxiliary.inputs[:_MOST_AUXILIARY].flatten(1).double()
        prior = GaussianPrior.of(held, self.components)
        found = [seen_record(look, prior) for look in looks]
        if len(found) > 1 and _same(found, prior):
            found = [seen_record(together(looks), prior)]
        denoisers = [
            SmoothedRecords.of(held, precision, components=self.components, rng=rng)
            for _, precision in found
        ]
        flat = torch.cat([d(y[None], p) for d, (y, p) in zip(denoisers, found, strict=True)])
        if view.job.value_range is not None:
            flat = flat.clamp(*view.job.value_range)
        exact = not view.defenses and records == 1 and all(_exact(look) for look in looks)
        precision = torch.stack([p for _, p in found]).mean()
        return Reconstruction(
            inputs=flat.float().view(len(flat), *view.job.input_shape),
            objective=sum(d.error / max(d.prior_error, _ROUNDING) for d in denoisers)
            / len(denoisers),
            solved=exact,
            explanation=_said(denoisers, prior.power * float(precision), len(views), records),
        )


def _look(
    view: UpdateView, layer: FirstLayer, auxiliary: AuxiliaryData, records: int
) -> LayerGradient:
    """Return the layer's gradient, the noise on it, and the drives of records like it."""
    gradient = observed_gradient(view)
    matrix = layer.joined(gradient)
    noise = known_noise(view, gradient)
    left = max(beyond_rank_one(matrix), _ROUNDING * float(matrix.square().mean()), _TINY)
    if noise is None:
        variance = torch.full_like(matrix, left)
    else:
        wide = {n: torch.as_tensor(v).expand(gradient[n].shape) for n, v in noise.items()}
        variance = layer.joined(wide).square()
        if records > 1:
            variance = variance + max(left - float(variance.mean()), 0.0)
    return LayerGradient(matrix, variance, _drives(view, layer, auxiliary, records))


def _drives(view: UpdateView, layer: FirstLayer, auxiliary: AuxiliaryData, records: int) -> Tensor:
    """Return d of auxiliary records under the clipping in force at the view's model, `[k, m]`.

    Of a batch of several records d is a mean, and spreads less.
    """
    trained = {n: p.detach() for n, p in view.model.named_parameters() if p.requires_grad}
    state = {n: v.detach() for n, v in view.model.state_dict().items()}
    inputs, targets = auxiliary.inputs[:_MOST_DRIVES], auxiliary.targets[:_MOST_DRIVES]
    most, found, done = longest_gradient(view), list[Tensor](), 0
    for chunk in clipped_gradients(
        view, inputs, targets, like=trained, state=state, number=view.round
    ):
        lengths = torch.cat([g.flatten(1) for g in chunk.values()], dim=1).norm(dim=1)
        factor = (most / lengths).clamp(max=1) if most else torch.ones_like(lengths)
        x = inputs[done : done + len(lengths)].flatten(1)
        # dL/dW = d x' of one record, so d is dL/dW x over the square of x.
        drives = (chunk[layer.weight] @ x[:, :, None])[:, :, 0] * factor[:, None]
        found.append((drives / x.square().sum(1, keepdim=True).clamp_min(_ROUNDING)).double())
        done += len(lengths)
    drives = torch.cat(found)
    mean = drives.mean(0)
    return mean + (drives - mean) / records**0.5


def _same(found: Sequence[tuple[Tensor, Tensor]], prior: GaussianPrior) -> bool:
    """Return whether nothing speaks against one record behind all rounds.

    That is, unless the others foretell a round's look clearly worse than the mean record does.
    """
    gain = 0.0
    seen, precision = (torch.stack(column) for column in zip(*found, strict=True))
    nothing = torch.zeros_like(precision[0])
    _, alone = prior.posterior(prior.mean, nothing)
    for i in range(len(found)):
        others = [j for j in range(len(found)) if j != i]
        weight = precision[others].sum(0)
        look = (seen[others] * precision[others]).sum(0) / weight.clamp_min(_ROUNDING)
        guess, spread = prior.posterior(look, weight)
        noise = 1 / precision[i].clamp_min(_ROUNDING)
        gain += _fit(seen[i] - guess, spread + noise) - _fit(seen[i] - prior.mean, alone + noise)
    return gain > -_CLEARLY


def _fit(gap: Tensor, variance: Tensor) -> float:
    """Return the log-likelihood of a gap under normal noise, but for a constant."""
    return -0.5 * float((gap.square() / variance + variance.log()).sum())


def _exact(look: LayerGradient) -> bool:
    power = float(look.matrix.square().mean())
    return power > 0 and beyond_rank_one(look.matrix) <= _ROUNDING * power


def _said(denoisers: Sequence[SmoothedRecords], ratio: float, rounds: int, records: int) -> str:
    error = sum(d.error for d in denoisers) / len(denoisers)
    mean = sum(d.prior_error for d in denoisers) / len(denoisers)
    parts = [
        f"signal-to-noise ratio {ratio:.3g} a value; at such noise the squared error on held-out "
        f"auxiliary records is {error:.2g} (the mean record: {mean:.2g})"
    ]
    if rounds > 1:
        parts.append(
            f"{rounds} rounds taken for the same record"
            if len(denoisers) == 1
            else f"{rounds} rounds taken for different records"
        )
    if records > 1:
        parts.append(f"{records} records behind an update give one blend of them")
    if error > 0.9 * mean:
        parts.append("so this is little more than the mean record")
    return "; ".join(parts)

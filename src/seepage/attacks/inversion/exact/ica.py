"""Unmixes large batches and aggregates of a linear first layer by independent components.

Rows of A = [dL/dW | dL/db] = D [X | 1] are mixtures of the inputs, so with A = L R by its
singular values X = M R for an unknown r x r matrix M. The Cocktail Party Attack (Kariyappa
et al. 2023, arXiv 2209.05578) takes the inputs for independent sources and finds M as the
unmixing that makes them least Gaussian. Whole images are not independent: they share their
light and their composition. Their differences along each axis nearly are, sparse besides,
and are mixed by the same M, so images are unmixed in these (a stand-in for the paper's
penalties on dependence and total variation). FastICA does it (Hyvarinen 1999), with
log cosh. The joined bias makes sign and scale exact: every record has a constant 1 there.
The activation may be any; no sparsity is asked for.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from ....core.claims import Reconstruction
from ..observed import observed_gradient, observed_records
from .first_layer import FirstLayer, first_layer
from .linear_leak import verify
from .low_rank import LowRank, low_rank

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView

_LOG_COSH_OF_NOISE = 0.37457  # the mean of log cosh of a standard normal
_LARGEST_VERIFIED = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class ICA:
    """Inversion of a linear first layer by independent component analysis.

    Fields
    ------
    iterations : of FastICA, at most
    tolerance : FastICA stops where its directions move less than this
    largest : refuse beyond this many records
    """

    iterations: int = 200
    tolerance: float = 1e-3
    largest: int = 256

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return as many records as the gradient's rank shows, approximately.

        `solved` only where the activation pattern of every record proves it. Raises
        `NotApplicableError` where the model does not begin with a linear layer.
        """
        layer, gradient = first_layer(view), observed_gradient(view)
        matrix, records = layer.joined(gradient), observed_records(view)
        parts = low_rank(matrix, records or None)
        if parts.rank > self.largest:
            return _refusal(layer, f"{parts.rank} records are more than largest={self.largest}")
        if parts.rank > 1 and parts.rank >= min(matrix.shape):
            return _refusal(layer, f"width {len(matrix)} does not show how many records there are")
        seed = int(torch.randint(2**31 - 1, (), generator=rng))
        unmixing, contrast, settled = self._unmix(_samples(layer, parts), seed)
        directions = unmixing @ parts.basis
        verified = torch.zeros(len(directions), dtype=torch.bool)
        if parts.rank <= _LARGEST_VERIFIED:
            verified, _ = verify(parts, directions, layer)
        return Reconstruction(
            inputs=layer.records(directions, view.job.value_range),
            objective=-contrast,
            solved=layer.has_bias and bool(verified.all()),
            explanation=_note(layer, parts, int(verified.sum()), settled, records),
        )

    def _unmix(self, samples: Tensor, seed: int) -> tuple[Tensor, float, bool]:
        """Return the unmixing `[r, r]` of `samples` `[r, k]`, its contrast, and if it settled."""
        rank = len(samples)
        if rank == 1:
            return samples.new_ones((1, 1)), 0.0, True
        found = FastICA(
            rank,
            whiten="unit-variance",
            max_iter=self.iterations,
            tol=self.tolerance,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            sources = torch.from_numpy(found.fit_transform(samples.T.numpy()))
        apart = sources.abs().add(torch.log1p(torch.exp(-2 * sources.abs()))).mean(dim=0)
        contrast = float((apart - math.log(2) - _LOG_COSH_OF_NOISE).square().mean())
        unmixing = torch.from_numpy(found.components_).to(samples.dtype)
        return unmixing, contrast, int(found.n_iter_) < self.iterations


def _samples(layer: FirstLayer, parts: LowRank) -> Tensor:
    """Return what the rows of R are unmixed in, `[r, k]`: differences of images, else values."""
    values = parts.basis[:, :-1] if layer.has_bias else parts.basis
    if len(layer.input_shape) < 2 or min(layer.input_shape[-2:]) < 3:
        return values
    images = values.reshape(len(values), *layer.input_shape)
    across = (images[..., 1:] - images[..., :-1]).flatten(1)
    down = (images[..., 1:, :] - images[..., :-1, :]).flatten(1)
    return torch.cat([across, down], dim=1)


def _refusal(layer: FirstLayer, reason: str) -> Reconstruction:
    return Reconstruction.nothing(layer.input_shape, f"not solvable: {reason}")


def _note(layer: FirstLayer, parts: LowRank, verified: int, settled: bool, records: int) -> str:
    text = f"{parts.rank} components unmixed, {verified} of them proved by activation patterns"
    if not settled:
        text += "; the search had not settled: raise iterations"
    if records > parts.rank:
        text += f"; the gradient shows only {parts.rank} of up to {records} records"
    return text if layer.has_bias else f"{text}; no bias: sign and scale of each are guesses"

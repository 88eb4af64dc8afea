"""The Bayes-optimal adversary for a Gaussian release: whose contribution is in it.

A release r = c_i + N(0, S) of one of n contributions is decided by the log-likelihood ratios

    L_i = <c_i, r>_S - <c_i, c_i>_S / 2,    <a, b>_S = a' S^-1 b

against no contribution at all: with prior p the posterior is softmax(L + log p), and no rule
picks the right one oftener than its largest entry (Neyman & Pearson 1933). Orthogonal
contributions of length mu in the whitened space are picked with probability
integral phi(z) Phi(z + mu)^(n-1) dz, two opposite ones with Phi(mu), which is what
reconstruction robustness allows (Hayes, Mahloujifar & Balle 2023, arXiv 2302.07225).
Ratios of independent releases add up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.errors import UsageError


def whitened(values: Tensor, noise: Tensor) -> Tensor:
    """Return `values` `[..., p]` in the space where the noise is standard normal.

    `noise` has the standard deviations `[p]`, or the covariance `[p, p]`. Raises `UsageError`
    where a deviation is not above 0, or the covariance not positive definite.
    """
    if noise.ndim == 1:
        if not bool((noise > 0).all()):
            raise UsageError("a deviation of the noise is not above 0: nothing hides there")
        return values / noise
    factor, failed = torch.linalg.cholesky_ex(noise)
    if bool(failed):
        raise UsageError("the noise's covariance is not positive definite")
    flat = values.reshape(-1, values.shape[-1]).T
    return torch.linalg.solve_triangular(factor, flat, upper=False).T.reshape(values.shape)


def alignments(release: Tensor, contributions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return <c_i, r>_S `[..., n]` and <c_i, c_i>_S `[n]`.

    Releases r are `[..., p]` and contributions c `[n, p]`; `noise` is as of `whitened`.
    """
    seen, each = whitened(release, noise), whitened(contributions, noise)
    return seen @ each.T, each.square().sum(-1)


def log_likelihood_ratios(release: Tensor, contributions: Tensor, noise: Tensor) -> Tensor:
    """Return L_i of each contribution `[n, p]` for releases `[..., p]`, `[..., n]`.

    >>> log_likelihood_ratios(torch.tensor([2.0, 0.0]), torch.eye(2), torch.ones(2))
    tensor([ 1.5000, -0.5000])
    """
    inner, square = alignments(release, contributions, noise)
    return inner - square / 2


def posterior(ratios: Tensor, prior: Tensor | None = None) -> Tensor:
    """Return the chance of each candidate given ratios `[..., n]`, where exactly one is right.

    `prior` has their chances before, `[n]`; None: all alike.
    """
    return (ratios if prior is None else ratios + prior.log()).softmax(-1)


def best_pick(ratios: Tensor, prior: Tensor | None = None) -> Tensor:
    """Return the index of the likeliest candidate given ratios `[..., n]`, `[...]`."""
    return posterior(ratios, prior).argmax(-1)


def sampled_ratios(inner: Tensor, square: Tensor, *, rate: float, steps: int) -> Tensor:
    """Return log-likelihood ratios of candidates that each of `steps` steps draws at `rate`.

    With k draws it contributes k c_i, so they are log sum_k Bin(k; steps, rate)
    exp(k <c_i, r> - k^2 <c_i, c_i> / 2). `inner` and `square` are `[..., n]`; rate 1 means
    that all steps have it.
    """
    if rate >= 1:
        return steps * inner - steps**2 * square / 2
    draws = torch.arange(steps + 1, dtype=inner.dtype)
    chance = torch.distributions.Binomial(steps, torch.tensor(rate, dtype=inner.dtype))
    each = inner[..., None] * draws - square[..., None] * draws.square() / 2
    return (each + chance.log_prob(draws)).logsumexp(-1)

"""How near the claims of inversions come to the originals."""

from __future__ import annotations

import torch
from attack_views import gallery
from torch import Tensor

from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr


def matched(claimed: Tensor, originals: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pairs that fit best: what was claimed, and the originals that it stands for."""
    i, j = (list(column) for column in zip(*match(claimed, originals), strict=True))
    return claimed[i], originals[j]


def mean_psnr(claimed: Tensor, originals: Tensor) -> float:
    """Return the mean over matched pairs, in dB."""
    return float(psnr(*matched(claimed, originals)).mean())


def worst_psnr(claimed: Tensor, originals: Tensor) -> float:
    """Return the least over the originals, of which all must be matched, in dB."""
    pairs = matched(claimed, originals)
    assert len(pairs[0]) == len(originals)
    return float(psnr(*pairs).min())


def quality(claimed: Tensor, originals: Tensor) -> Tensor:
    """PSNR of each original's match, 0 where it has none."""
    best = torch.zeros(len(originals), dtype=torch.float64)
    for i, j in match(claimed, originals):
        best[j] = psnr(claimed[i : i + 1], originals[j : j + 1])[0]
    return best


def hit_rate(claimed: Tensor, originals: Tensor) -> float:
    """Return the share of originals that the claim picks out of a gallery."""
    return float(identified(claimed, originals, gallery(originals)).float().mean())

"""What several starts agree on: their mean, after they were laid over each other.

Yin et al. 2021 (arXiv 2104.07586, section 3.3) register images by optical flow; here by
translation. The shift between two images is where the inverse transform of their
cross-power spectrum, each frequency scaled to length 1, peaks (phase correlation: Kuglin &
Hines 1975).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .....metrics.matching import match

_REACH = 8


def consensus(starts: Tensor, labels: Tensor, anchor: int) -> Tensor:
    """Return the mean of all starts `[r, b, *shape]` as each would show it, `[r, b, *shape]`.

    Records of one label may stand in another order in each start: they are matched to
    those of the start `anchor` first; images `[c, h, w]` are then laid over them.
    """
    images = starts.ndim == 5
    orders = [_order(start, starts[anchor], labels) for start in starts]
    laid = [start[order] for start, order in zip(starts, orders, strict=True)]
    shifts = [shifts_to(x, starts[anchor]) for x in laid] if images else [[] for _ in laid]
    if images:
        laid = [rolled(x, s) for x, s in zip(laid, shifts, strict=True)]
    mean = torch.stack(laid).mean(0)
    found = torch.empty_like(starts)
    for r, (order, shift) in enumerate(zip(orders, shifts, strict=True)):
        found[r, order] = rolled(mean, shift, -1) if images else mean
    return found


def _order(start: Tensor, anchor: Tensor, labels: Tensor) -> Tensor:
    order = torch.arange(len(labels))
    for label in labels.unique():
        own = (labels == label).nonzero().flatten()
        for i, j in match(start[own], anchor[own]):
            order[own[j]] = own[i]
    return order


def shifts_to(images: Tensor, anchors: Tensor) -> list[tuple[int, int]]:
    """Return by how many rows and columns to roll each image to lie on its anchor.

    Both are `[n, c, h, w]`. Shifts above an eighth of a side are not considered.

    >>> image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> shifts_to(image.roll((2, -3), (2, 3)), image)
    [(-2, 3)]
    """
    height, width = images.shape[-2:]
    spectra = [torch.fft.rfft2(x - x.mean((2, 3), keepdim=True)) for x in (anchors, images)]
    cross = (spectra[0] * spectra[1].conj()).sum(1)
    peaks = torch.fft.irfft2(cross / cross.abs().clamp_min(1e-12), s=(height, width))
    rows, columns = _near(height), _near(width)
    window = peaks[:, rows][:, :, columns].flatten(1)
    best = window.argmax(1)
    found = zip(rows[best // len(columns)], columns[best % len(columns)], strict=True)
    return [(_signed(int(i), height), _signed(int(j), width)) for i, j in found]


def rolled(images: Tensor, shifts: list[tuple[int, int]], sign: int = 1) -> Tensor:
    """Return images `[n, c, h, w]`, each rolled by its shift, or back where `sign` is -1."""
    pairs = zip(images, shifts, strict=True)
    return torch.stack([x.roll((sign * i, sign * j), (1, 2)) for x, (i, j) in pairs])


def _near(side: int) -> Tensor:
    reach = side // _REACH
    return torch.arange(-reach, reach + 1) % side


def _signed(index: int, side: int) -> int:
    return index - side if index > side // 2 else index

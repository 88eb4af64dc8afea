"""One PNG of truth and reconstructions, row under row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .png import png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GAP, _LEAST_SIDE = 2, 96


def mosaic(rows: Mapping[str, NDArray[np.float64]]) -> bytes | None:
    """Return a PNG of rows of images `[k, c, h, w]` on the first row's scale.

    Small images are magnified. None where the rows hold no images of one or three channels.
    """
    import numpy as np

    images = [r for r in rows.values() if r.ndim == 4 and r.shape[1] in (1, 3) and r.size]
    if not images:
        return None
    low, high = float(images[0].min()), float(images[0].max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    times = max(1, -(-_LEAST_SIDE // images[0].shape[2]))
    lines: list[NDArray[np.float64]] = []
    for row in images:
        scaled = ((row - low) / ((high - low) or 1.0)).clip(0, 1)
        large = scaled.repeat(times, axis=2).repeat(times, axis=3)
        framed = np.pad(large, ((0, 0), (0, 0), (_GAP, _GAP), (_GAP, _GAP)), constant_values=1.0)
        lines.append(np.concatenate(list(framed.transpose(0, 2, 3, 1)), axis=1))
    width = max(line.shape[1] for line in lines)
    padded = [
        np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=1.0)
        for line in lines
    ]
    return png(np.rint(np.concatenate(padded) * 255).astype(np.uint8))

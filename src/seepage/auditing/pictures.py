"""Truth, what the undefended twin gave away, and what the defended job does.

Reports don't leak (DESIGN rule 11): unless records were asked for, images are stored as
coarse mosaics, and rows of tables not at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

SHOWN = 8
MOSAIC = 4

Recovered = Mapping[int, tuple[Tensor, Tensor]]


def picture_arrays(
    recovered: Mapping[str, Recovered], *, include_records: bool
) -> dict[str, np.ndarray]:
    """Return `truth`, `undefended` and `defended` `[k, *shape]` of the same records.

    `recovered` maps `defended` and `undefended` to records and reconstructions by row.
    """
    undefended = recovered.get("undefended", {})
    defended = recovered.get("defended", {})
    if undefended and defended:
        rows = [r for r in undefended if r in defended][:SHOWN]
    else:
        rows = list(undefended or defended)[:SHOWN]
    if not rows:
        return {"blurred": np.array(not include_records)}
    source = undefended or defended
    columns = {"truth": torch.stack([source[r][0] for r in rows])}
    for name, pairs in (("undefended", undefended), ("defended", defended)):
        if pairs:
            columns[name] = torch.stack([pairs[r][1] for r in rows])
    if not include_records:
        if columns["truth"].ndim != 4:
            return {"blurred": np.array(True)}
        columns = {name: _mosaic(images) for name, images in columns.items()}
    arrays = {name: images.float().nan_to_num().numpy() for name, images in columns.items()}
    return {**arrays, "blurred": np.array(not include_records)}


def _mosaic(images: Tensor) -> Tensor:
    size = max(1, min(MOSAIC, images.shape[-1] // 4))
    return interpolate(adaptive_avg_pool2d(images, size), size=images.shape[-2:])

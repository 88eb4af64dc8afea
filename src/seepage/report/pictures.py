"""Truth, undefended and defended reconstructions of a run, drawn side by side.

Arrays without the mark `blurred`, which says whether records are shown by permission,
are not drawn: a report must not leak (DESIGN rule 11).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.results import Finding, Result
from .digest import ranked
from .png import png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROWS = ("truth", "undefended", "defended")
SHOWN, GALLERIES, WIDEST = 8, 12, 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One record: an image as a data URI, or the path of a table row's profile."""

    uri: str = ""
    profile: str = ""
    truth: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The pictures of one finding: label -> cells; `problem` where they can't be drawn."""

    finding: Finding
    rows: Mapping[str, tuple[Cell, ...]]
    blurred: bool = True
    problem: str = ""

    @property
    def columns(self) -> int:
        """Return the number of records side by side."""
        return max(map(len, self.rows.values()), default=0)


def galleries(result: Result) -> list[Gallery]:
    """Return the galleries of a run folder, worst finding first; none without a folder."""
    if result.folder is None:
        return []
    found: list[Gallery] = []
    for finding in ranked(result.findings):
        path = array_path(result.folder, finding.id)
        if path.is_file() and (gallery := _gallery(finding, path)):
            found.append(gallery)
    return found


def array_path(folder: Path, finding_id: str) -> Path:
    """Return where a finding's arrays lie in a run folder.

    >>> array_path(Path("run"), "digits/honest-server/dlg").as_posix()
    'run/arrays/digits-honest-server-dlg.npz'
    """
    return folder / "arrays" / (re.sub(r"[^\w.]+", "-", finding_id) + ".npz")


def _gallery(finding: Finding, path: Path) -> Gallery | None:
    from zipfile import BadZipFile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "blurred" not in arrays:
                return Gallery(finding=finding, rows={}, problem="not marked as blurred or not")
            blurred = bool(arrays["blurred"])
            shown = {n: _tame(arrays[n][:SHOWN]) for n in ROWS if n in arrays}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        return Gallery(finding=finding, rows={}, problem=f"can't be read: {error}")
    if not shown:
        return None
    if any(a.ndim not in (2, 3, 4) or 0 in a.shape for a in shown.values()):
        shapes = ", ".join(f"{n} {a.shape}" for n, a in shown.items())
        return Gallery(finding=finding, rows={}, problem=f"of a shape that is no picture: {shapes}")
    return Gallery(finding=finding, rows=_rows(shown), blurred=blurred)


def _tame(values: NDArray[np.generic]) -> Floats:
    import numpy as np

    return np.nan_to_num(values.astype(np.float64), posinf=1e9, neginf=-1e9)


def _rows(shown: Mapping[str, Floats]) -> dict[str, tuple[Cell, ...]]:
    """Draw every row on one scale: the truth's range, so that rows can be compared."""
    reference = shown.get("truth", next(iter(shown.values())))
    low, high = float(reference.min()), float(reference.max())
    if reference.ndim > 2 and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    span = high - low or 1.0
    scaled = {name: ((a - low) / span).clip(0, 1) for name, a in shown.items()}
    truth = scaled.get("truth")
    return {
        name: tuple(
            Cell(
                profile=staircase(record),
                truth=staircase(truth[i])
                if truth is not None and name != "truth" and i < len(truth)
                else "",
            )
            if record.ndim == 1
            else Cell(uri=data_uri(record))
            for i, record in enumerate(records)
        )
        for name, records in scaled.items()
    }


def data_uri(record: Floats) -> str:
    """Return an image `[h, w]` or `[c, h, w]` in [0, 1] as a PNG data URI.

    Other than one or three channels are averaged to gray; large images are thinned out.
    """
    import numpy as np

    image = record[None] if record.ndim == 2 else record
    image = image if image.shape[0] in (1, 3) else image.mean(0, keepdims=True)
    step = -(-max(image.shape[1:]) // WIDEST)
    pixels = np.rint(image[:, ::step, ::step] * 255).astype(np.uint8).transpose(1, 2, 0)
    return "data:image/png;base64," + b64encode(png(pixels)).decode()


def staircase(record: Floats) -> str:
    """Return the SVG path of a table row `[d]` in [0, 1], in a box 100 wide and 40 high.

    >>> import numpy as np
    >>> staircase(np.array([0.0, 1.0]))
    'M0 38V38H50V2H100'
    """
    step = -(-len(record) // 200)
    values = record[::step]
    stairs = (
        f"V{38 - 36 * float(v):.4g}H{100 * (i + 1) / len(values):.4g}" for i, v in enumerate(values)
    )
    return "M0 38" + "".join(stairs)

"""Draws the README's picture from a run: `python docs/make_pictures.py RUN`.

The run must be of public data, made with `--include-records`.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
from matplotlib import pyplot as plt

ROWS = {
    "truth": "the client's records",
    "undefended": "recovered by the server,\nno defense",
    "defended": "recovered by the server,\nDP-SGD",
}


def draw(run: Path, finding: str, into: Path) -> None:
    """Write truth, undefended and defended reconstructions of one finding as a PNG."""
    arrays = np.load(run / "arrays" / f"{finding.replace('/', '-')}.npz", allow_pickle=False)
    if arrays["blurred"]:
        sys.exit(f"{run}: its pictures are blurred; run the audit with --include-records")
    count = len(arrays["truth"])
    figure, axes = plt.subplots(len(ROWS), count, figsize=(count * 0.8 + 2.2, len(ROWS) * 0.85))
    for row, (name, label) in zip(axes, ROWS.items(), strict=True):
        for axis, image in zip(row, arrays[name], strict=True):
            axis.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(left=2.0 / figure.get_figwidth(), right=0.99, top=0.98, bottom=0.02)
    figure.savefig(into, dpi=110)


if __name__ == "__main__":
    finding = "digits-mlp/honest-server/fully-connected/end/identification_rate"
    draw(Path(sys.argv[1]), finding, Path(__file__).parent / "quickstart.png")

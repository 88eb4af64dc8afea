from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_fixture import IMAGES, ROWS, audit_result

from seepage.core.results import Result


@pytest.fixture
def result() -> Result:
    """A result of many kinds of findings."""
    return audit_result()


@pytest.fixture
def run(tmp_path: Path) -> Result:
    """The same result with pictures in its folder: blurred digits, and rows shown on request."""
    from sklearn.datasets import load_digits, load_wine

    rng = np.random.default_rng(0)
    digits = load_digits().images[:8, None] / 16
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    np.savez_compressed(
        arrays / (IMAGES.replace("/", "-") + ".npz"),
        truth=digits,
        undefended=(digits + 0.08 * rng.standard_normal(digits.shape)),
        defended=(digits * 0.2 + 0.5 * rng.random(digits.shape)),
        blurred=np.array(True),
    )
    rows = load_wine().data[:5]
    rows = (rows - load_wine().data.mean(0)) / load_wine().data.std(0)
    np.savez_compressed(
        arrays / (ROWS.replace("/", "-") + ".npz"),
        truth=rows,
        undefended=rows + 0.1 * rng.standard_normal(rows.shape),
        defended=2 * rng.standard_normal(rows.shape),
        blurred=np.array(False),
    )
    return replace(audit_result(), folder=tmp_path)

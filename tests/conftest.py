import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real datasets beyond the bundle; tests that need them skip where there are none."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEEPAGE_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}: set SEEPAGE_DATA")
    return folder

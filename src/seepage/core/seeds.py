"""Every generator derives from (seed, what it is for): no global seed anywhere."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive_seed(seed: int, *purpose: object) -> int:
    """Return a 63-bit seed for a purpose, e.g. `derive_seed(0, "client", 3, "round", 7)`."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_rng(seed: int, *purpose: object) -> torch.Generator:
    """Return a torch generator for a purpose."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def numpy_rng(seed: int, *purpose: object) -> np.random.Generator:
    """Return a numpy generator for a purpose."""
    import numpy as np

    return np.random.default_rng(derive_seed(seed, *purpose))

"""Where noise comes from: a plan's seed in a simulation, the operating system in a deployment.

A simulation must repeat, so its noise follows from a seed, and its records say `simulated`:
whoever has the seed can take the noise away. Noise that protects people must not have one.
torch seeds its generator with 32 bits, which can be tried one by one, so in a deployment all
19,968 bits of the generator's state come from the operating system. What it draws from them is
still a Mersenne Twister's: statistically sound, and not a cipher's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ...core.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from ...core.privacy import EpsilonRecord

_WORDS = 624
_HEADER_BYTES = 24
_STATE_BYTES = 5056


def deployed_rng(seed: int | None = None) -> torch.Generator:
    """Return a CPU generator whose whole state comes from the operating system.

    Raises `UsageError` where a seed is given: noise that somebody can repeat protects nobody.
    """
    if seed is not None:
        raise UsageError(
            "a deployment's noise takes no seed, because whoever has it can take the noise away; "
            "leave the seed out"
        )
    generator = torch.Generator()
    state = generator.get_state()
    if state.numel() != _STATE_BYTES:
        raise RefusedError(
            f"this torch keeps {state.numel()} bytes of random state where {_STATE_BYTES} are "
            "known, so noise can't be seeded safely; use a version from the constraints file"
        )
    # Each of the twister's words is held in eight bytes, low ones first.
    fresh = torch.frombuffer(bytearray(secrets.token_bytes(4 * _WORDS)), dtype=torch.uint8)
    words = torch.zeros(_WORDS, 8, dtype=torch.uint8)
    words[:, :4] = fresh.view(_WORDS, 4)
    state[_HEADER_BYTES : _HEADER_BYTES + 8 * _WORDS] = words.flatten()
    generator.set_state(state)
    return generator


def as_deployed(records: Iterable[EpsilonRecord]) -> tuple[EpsilonRecord, ...]:
    """Return the records of a job whose noise all came from `deployed_rng`."""
    return tuple(replace(record, noise="operating-system") for record in records)

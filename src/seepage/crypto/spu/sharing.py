"""What each process of SPU has: the protocol, and a way to make shares of what it knows.

Runs in SPU's environment, on Python 3.10, and imports nothing of ours.
"""

# They are in SPU's environment, not in ours:
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import spu.api as spu_api
import spu.libspu as spu

if TYPE_CHECKING:
    from ..environments.frames import Part

    Reply = tuple[dict[str, Any], list[Part]]

_state: dict[str, Any] = {}


def config_of(settings: dict[str, Any]) -> Any:
    """Return SPU's configuration: the protocol and the fractional bits."""
    config = spu.RuntimeConfig(
        protocol=getattr(spu.ProtocolKind, settings["protocol"]), field=spu.FieldType.FM64
    )
    config.fxp_fraction_bits = settings["fraction_bits"]
    return config


def set_up(settings: dict[str, Any], _: list[Part]) -> Reply:
    """Fix the protocol, the number of parties and the fractional bits."""
    _state["io"] = spu_api.Io(settings["parties"], config_of(settings))
    return {}, []


def io() -> Any:
    """Return what makes shares and puts them together."""
    return _state["io"]


def share(_: dict[str, Any], parts: list[Part]) -> Reply:
    """Share an array; `chunks` says how many parts, behind its description, each share has."""
    shares = io().make_shares(parts[0], spu.Visibility.VIS_SECRET)
    found = [part for each in shares for part in (each.meta, *each.share_chunks)]
    return {"chunks": [len(each.share_chunks) for each in shares]}, found

"""One computing party of SPU: holds its shares, and runs programs with the others over TCP.

Runs in SPU's environment, on Python 3.10, and imports nothing of ours.
"""

# They are in SPU's environment, not in ours:
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import spu.api as spu_api
import spu.libspu as spu

if TYPE_CHECKING:
    from ..environments.frames import Part
    from .sharing import config_of, set_up, share

    Reply = tuple[dict[str, Any], list[Part]]
else:
    from sharing import config_of, set_up, share

_RETRY_MILLISECONDS = 50
_ERRORS = 2

_state: dict[str, Any] = {}


def join(settings: dict[str, Any], _: list[Part]) -> Reply:
    """Meet the other parties at their ports of the loopback interface."""
    milliseconds = round(1000 * settings["timeout"])
    link = spu.link.Desc()
    link.recv_timeout_ms = milliseconds
    link.connect_retry_interval_ms = _RETRY_MILLISECONDS
    link.connect_retry_times = max(1, milliseconds // _RETRY_MILLISECONDS)
    for party, port in enumerate(settings["ports"]):
        link.add_party(f"party {party}", f"127.0.0.1:{port}")
    config = config_of(settings)
    config.enable_pphlo_profile = True  # it says what went over the links, see `_sent`
    _state["runtime"] = spu_api.Runtime(spu.link.create_brpc(link, settings["rank"]), config)
    return set_up({**settings, "parties": len(settings["ports"])}, [])


def hold(settings: dict[str, Any], parts: list[Part]) -> Reply:
    """Keep a share under a name."""
    share = spu.Share()
    share.meta, *chunks = (bytes(part) for part in parts)
    share.share_chunks = chunks
    _state["runtime"].set_var(settings["name"], share)
    return {}, []


def run(settings: dict[str, Any], parts: list[Part]) -> Reply:
    """Run a program on the shares of some names; return this party's share of the result."""
    program = spu.Executable(
        name="reduction",
        input_names=settings["names"],
        output_names=["result"],
        code=bytes(parts[0]),
    )
    before = os.fstat(_ERRORS).st_size
    _state["runtime"].run(program)
    found = _state["runtime"].get_var("result")
    return {"sent": _sent(before)}, [found.meta, *found.share_chunks]


def _sent(before: int) -> int:
    """Return the bytes that a run sent to other parties: SPU only says so in its log.

    The log is the standard error, which is a file.
    """
    log = os.pread(_ERRORS, os.fstat(_ERRORS).st_size - before, before)
    found = re.findall(rb"Link details: total send bytes (\d+)", log)
    return int(found[-1])


CALLS = {"join": join, "share": share, "hold": hold, "run": run}

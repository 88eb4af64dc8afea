"""What SPU does for clients and for who receives the result: shares, programs, reconstruction.

Runs in SPU's environment, on Python 3.10, and imports nothing of ours.
"""

# They are in SPU's environment, not in ours:
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import spu.libspu as spu
import spu.utils.frontend as frontend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..environments.frames import Part
    from .sharing import io, set_up, share

    Reply = tuple[dict[str, Any], list[Part]]
else:
    from sharing import io, set_up, share

jax.config.update("jax_enable_x64", True)

BLOCK = 1 << 16
"""Coordinates that are compared at a time: what memory goes by."""

STEEP, SHRINK = 2.0**14, 2.0**-6
"""SPU's rsqrt silently gives 0 from 2^16 on (18 fractional bits): so arguments from STEEP on are
scaled by SHRINK^2 first, which takes any below 2^26 to less than 2^14."""

_NEWTON_STEPS = 2


def reconstruct(settings: dict[str, Any], parts: list[Part]) -> Reply:
    """Return the vector that shares make up; they come as `share` gives them."""
    shares, rest = [], [bytes(part) for part in parts]
    for chunks in settings["chunks"]:
        found = spu.Share()
        found.meta, found.share_chunks = rest[0], rest[1 : 1 + chunks]
        shares.append(found)
        rest = rest[1 + chunks :]
    return {}, [np.asarray(io().reconstruct(shares))]


def compile_program(settings: dict[str, Any], _: list[Part]) -> Reply:
    """Return the program that parties run; it holds nothing that is secret."""
    program, shapes = settings["program"], settings["shapes"]
    reduce = _PROGRAMS[program["kind"]](program)
    found, _ = frontend.compile(
        frontend.Kind.JAX,
        lambda *given: reduce(given),
        tuple(np.zeros(shape, settings["dtype"]) for shape in shapes.values()),
        {},
        list(shapes),
        [spu.Visibility.VIS_SECRET] * len(shapes),
        lambda _: ["result"],
    )
    return {}, [found.code]


def _masked(program: dict[str, Any]) -> Callable[[tuple[Any, ...]], Any]:
    """Reduce rows of which each party has an addend, `[rows, width]`, and mask what is found.

    Addends come first, then a mask of each party, `[width]`. All stand above the lowest `shift`
    bits, which are 0: so they add up modulo 2^(64 - shift), and keep their order and their sign.
    """
    inner, shift = program["inner"], program["shift"]
    fixed_point = inner["kind"] == "clip"
    if inner["clamp"] is not None and not fixed_point:
        inner = {**inner, "clamp": inner["clamp"] << shift}
    reduce = _PROGRAMS[inner["kind"]](inner)

    def masked(given: tuple[Any, ...]) -> Any:
        """Return the masked reduction."""
        addends, masks = given[: len(given) // 2], given[len(given) // 2 :]
        rows: Any = sum(addends[1:], addends[0])
        if fixed_point:
            rows = jax.lax.bitcast_convert_type(rows >> shift, jnp.float64)
        found = reduce(tuple(rows))
        if fixed_point:
            found = jax.lax.bitcast_convert_type(found, jnp.int64) << shift
        return sum(masks, found)

    return masked


def _ranks(program: dict[str, Any]) -> Callable[[tuple[Any, ...]], Any]:
    """Add up some ranks of each coordinate; all of them need no sorting."""

    def reduce(rows: tuple[Any, ...]) -> Any:
        """Return the sums."""
        if not program["layers"] and program["clamp"] is None:
            return _total(program, list(rows))
        return _joined([_sorted(program, block) for block in _blocks(rows)])

    return reduce


def _blocks(rows: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, rows[0].shape[0], BLOCK):
        yield [row[start : start + BLOCK] for row in rows]


def _joined(blocks: list[Any]) -> Any:
    return jnp.concatenate(blocks, axis=-1) if len(blocks) > 1 else blocks[0]


def _sorted(program: dict[str, Any], rows: list[Any]) -> Any:
    rows = _clamped(rows, program["clamp"])
    for layer in program["layers"]:
        # All of a layer at once: it costs the rounds of one comparison.
        first = jnp.stack([rows[a] for a, _ in layer])
        second = jnp.stack([rows[b] for _, b in layer])
        smaller = jnp.minimum(first, second)
        larger = first + second - smaller
        for at, (a, b) in enumerate(layer):
            rows[a], rows[b] = smaller[at], larger[at]
    return _total(program, rows)


def _total(program: dict[str, Any], rows: list[Any]) -> Any:
    kept = [rows[rank] for rank in program["ranks"]]
    return sum(kept[1:], kept[0])


def _clip(program: dict[str, Any]) -> Callable[[tuple[Any, ...]], Any]:
    """Clip each row to norm 1 and add them up."""

    def reduce(rows: tuple[Any, ...]) -> Any:
        """Return the sum."""
        held = _clamped(list(rows), program["clamp"])
        squares = jnp.stack([jnp.dot(row, row) for row in held])
        factors = jnp.where(squares > 1.0, _inverse_root(squares), 1.0)
        # One product of a vector and a matrix: it is truncated once for all rows.
        return jnp.dot(factors, jnp.stack(held))

    return reduce


def _inverse_root(squares: Any) -> Any:
    """Return squares^(-1/2) to two steps of fixed point, for squares in [1, 2^26)."""
    steep = squares > STEEP
    found = jax.lax.rsqrt(jnp.where(steep, squares * SHRINK**2, squares))
    found = jnp.where(steep, found * SHRINK, found)
    for _ in range(_NEWTON_STEPS):
        found = found * (1.5 - 0.5 * ((squares * found) * found))
    return found


def _clamped(rows: list[Any], most: float | None) -> list[Any]:
    """Hold entries to [-most, most], whatever words were shared: neither comparison can wrap."""
    if most is None:
        return rows
    held = _joined([jnp.maximum(jnp.minimum(jnp.stack(b), most), -most) for b in _blocks(rows)])
    return [held[at] for at in range(len(rows))]


_PROGRAMS = {"ranks": _ranks, "clip": _clip, "masked": _masked}

CALLS = {
    "set_up": set_up,
    "share": share,
    "compile": compile_program,
    "reconstruct": reconstruct,
}

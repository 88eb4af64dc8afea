"""Everything that can be reached from an object, as a curious attack would."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def reachable(root: Any) -> list[Any]:
    """Walk fields, attributes, containers, closures, bound objects and autograd graphs."""
    found: dict[int, Any] = {}
    todo = [root]
    while todo:
        item = todo.pop()
        if id(item) in found or isinstance(item, str | int | float | type | types.ModuleType):
            continue
        found[id(item)] = item
        todo.extend(_neighbors(item))
    return list(found.values())


def _neighbors(item: Any) -> list[Any]:
    """Return what an object leads to in one step."""
    if isinstance(item, Mapping):
        return [*item.keys(), *item.values()]
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    near = list(getattr(item, "__dict__", {}).values())
    if is_dataclass(item):
        near += [getattr(item, f.name) for f in fields(item)]
    if isinstance(item, Tensor):
        near += [item.grad_fn, item._base, item.grad if item.is_leaf else None]
    if isinstance(item, torch.autograd.graph.Node):
        near += [function for function, _ in item.next_functions]
        near += [getattr(item, name) for name in dir(item) if name.startswith("_saved_")]
        near.append(getattr(item, "variable", None))
    for name in ("__closure__", "__defaults__", "__self__", "__func__", "cell_contents"):
        near.append(getattr(item, name, None))
    return near


def memory(root: Any) -> list[Tensor]:
    """Return all reachable memory as flat tensors: whole storages, not only what is shown."""
    whole: dict[int, Tensor] = {}
    for item in reachable(root):
        if isinstance(item, Tensor):
            storage = item.untyped_storage()
            whole[storage.data_ptr()] = torch.empty(0, dtype=item.dtype).set_(storage)
    return list(whole.values())


def holds(root: Any, secret: Tensor) -> bool:
    """Return whether the secret's memory, or a copy of its values, is reachable."""
    wanted = secret.detach().flatten()
    for block in memory(root):
        if block.untyped_storage().data_ptr() == secret.untyped_storage().data_ptr():
            return True
        if block.dtype == wanted.dtype and len(block) >= len(wanted):
            starts = torch.nonzero(block[: len(block) - len(wanted) + 1] == wanted[0]).flatten()
            if any(torch.equal(block[s : s + len(wanted)], wanted) for s in starts.tolist()):
                return True
    return False

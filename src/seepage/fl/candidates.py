"""Records whose membership is in question: what clients trained on, and what they held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..core.errors import DataError
from ..core.task import Records

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Task


LEAST = 10
"""Members, and non-members, below which nothing is said of membership."""

_UNTRAINED = "are held out and of a label that their client does not train on"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CandidateSets:
    """Candidates with their membership (`[n]` bool), for each client and for the whole job."""

    by_client: dict[int, tuple[Records, Tensor]]
    pooled: tuple[Records, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Usable:
    """The records of each client whose membership can be asked about, and what was left out.

    `left_out` says in words how many were not, and why; empty where all are.
    """

    members: tuple[Records, ...]
    others: tuple[Records, ...]
    left_out: str


def usable(task: Task) -> Usable:
    """Return the records of which a score can tell something of membership.

    Left out are records that repeat another of their client's, held-out records that equal
    one that any client trains on (they are members in all but name), and held-out records of
    a label that their client never trains on (the label alone would tell that they are none).
    """
    trained = [_keys(client.train) for client in task.clients]
    everywhere = {key for keys in trained for key in keys}
    members: list[Records] = []
    others: list[Records] = []
    counts = {"repeat another": 0, "are held out and trained on": 0, _UNTRAINED: 0}
    for client, keys in zip(task.clients, trained, strict=True):
        first = _first(keys)
        held = _keys(client.holdout)
        new = [i for i in _first(held) if held[i] not in everywhere]
        counts["repeat another"] += len(keys) - len(first) + len(held) - len(_first(held))
        counts["are held out and trained on"] += len(_first(held)) - len(new)
        mine, rest = client.train.take(_index(first)), client.holdout.take(_index(new))
        if task.classes:
            known = torch.isin(rest.targets, mine.targets)
            counts[_UNTRAINED] += int((~known).sum())
            rest = rest.take(known.nonzero().flatten())
        members.append(mine)
        others.append(rest)
    told = [f"{count:,} {why}" for why, count in counts.items() if count]
    return Usable(members=tuple(members), others=tuple(others), left_out=", ".join(told))


def candidates(task: Task, rng: torch.Generator, *, limit: int = 500) -> CandidateSets:
    """Draw candidates: members from each client's training records, others from its holdout.

    At most `limit` (0: all) of either kind a client are drawn, of those that are `usable`. They
    come in random order, so a candidate's position tells nothing; `pooled` holds those of all
    clients, shuffled once more. Raises `DataError` where fewer than `LEAST` of either kind are
    left in the job: no figure that rests on so few is worth printing.
    """
    found = usable(task)
    counts = [sum(map(len, side)) for side in (found.members, found.others)]
    if min(counts) < LEAST:
        raise DataError(
            f"{task.name}: withheld: {counts[0]} members and {counts[1]} non-members can be told "
            f"apart by nothing else, and {LEAST} of each are needed"
            + (f" (of the records, {found.left_out})" if found.left_out else "")
        )
    by_client: dict[int, tuple[Records, Tensor]] = {}
    for i, sides in enumerate(zip(found.members, found.others, strict=True)):
        members, others = (_sample(side, limit, rng) for side in sides)
        yes = torch.ones(len(members), dtype=torch.bool)
        no = torch.zeros(len(others), dtype=torch.bool)
        by_client[i] = _mixed([(members, yes), (others, no)], rng)
    return CandidateSets(by_client=by_client, pooled=_mixed(list(by_client.values()), rng))


def _keys(records: Records) -> list[bytes]:
    """Return for each record bytes that are the same where input and target are."""
    inputs, targets = records.inputs.numpy(), records.targets.numpy()
    return [x.tobytes() + y.tobytes() for x, y in zip(inputs, targets, strict=True)]


def _first(keys: Sequence[bytes]) -> list[int]:
    """Return the places at which a key stands for the first time."""
    return sorted({key: i for i, key in reversed(list(enumerate(keys)))}.values())


def _index(places: Sequence[int]) -> Tensor:
    return torch.tensor(places, dtype=torch.int64)


def _sample(records: Records, limit: int, rng: torch.Generator) -> Records:
    order = torch.randperm(len(records), generator=rng)
    return records.take(order[:limit] if limit else order)


def _mixed(sets: Sequence[tuple[Records, Tensor]], rng: torch.Generator) -> tuple[Records, Tensor]:
    joined = Records.joined(records for records, _ in sets)
    order = torch.randperm(len(joined), generator=rng)
    return joined.take(order), torch.cat([member for _, member in sets])[order]

"""The shape of a defense: middleware around records, gradient, update and aggregate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from .threat import Capability

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .cards import DefenseCard
    from .privacy import EpsilonRecord, Exposure
    from .task import Records, Training
    from .views import Loss, Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LocalStep:
    """One gradient step of a client: the model it stands at and the batch it drew.

    `expected_batch` is what sums are divided by; under Poisson sampling the realized
    batch may be of another size, or empty. `number` counts the job's steps from 0, those of
    rounds that the client missed among them. `carried` is what the defense wrote there at
    this client's step before: a defense may keep in it what it accounts for as released,
    or noise that no record had a part in, and nothing else, and must write new tensors and
    not into old ones.
    """

    model: nn.Module
    loss: Loss
    inputs: Tensor
    targets: Tensor
    expected_batch: int
    number: int = 0
    carried: dict[str, Tensor] = field(default_factory=dict[str, "Tensor"])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Receipt:
    """What a client was sent in a round: the model, the roster it was told of, the round."""

    model: nn.Module
    roster: tuple[int, ...]
    round: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Participation:
    """A client that is asked to take part in a round, before it trains.

    Fields
    ------
    client : its name
    round : from 0
    exposure : how often and how finely the whole job touches this client's own records
    defenses : all that are in force, in order
    """

    client: str
    round: int
    exposure: Exposure
    defenses: tuple[Defense, ...]


class Defense:
    """Base of every defense: each hook does nothing unless a defense overrides it.

    Subclasses are frozen dataclasses whose fields are their public parameters. Defenses
    compose in order: the first one listed acts first.
    """

    hides: ClassVar[frozenset[Capability]] = frozenset()
    """Capabilities that no observer has where this defense is in force."""

    poisson: ClassVar[bool] = False
    """Whether local batches must be drawn by Poisson sampling."""

    same_order: ClassVar[bool] = False
    """Whether all epochs of a client must go through its records in one order."""

    adds_up: ClassVar[bool] = False
    """Whether it forms the sum of a round's updates itself, in place of the server."""

    registered: ClassVar[bool] = False
    """Whether clients know each other beforehand, so that a server can't add its own."""

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings, as attackers read it."""
        raise TypeError(f"{type(self).__name__} must define `card`")

    def check(self, model: nn.Module, training: Training) -> None:
        """Raise `RefusedError` where this defense can't protect such a model or job."""

    def admit(self, participation: Participation) -> bool:
        """Return whether a client may take part in a round; else it sits out, and sends nothing.

        Asked once, before the client trains; what it costs to say yes is spent.
        """
        return True

    def protect_records(self, records: Records, rng: torch.Generator) -> Records:
        """Return what a client trains on in place of its records, once for the whole job.

        As many records as given, in their order and with their rows.
        """
        return records

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Update | None:
        """Return a protected gradient of the step's parameters, or None for the plain one."""
        return None

    def commitment(self, receipt: Receipt) -> bytes:
        """Return what a client binds into its update; only equal commitments add up."""
        return b""

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:
        """Return what leaves the client in place of `update`."""
        return update

    def in_clear(self, updates: Sequence[Update]) -> Sequence[Update]:
        """Return what can be read of a round's updates as they leave; the rest is encrypted.

        Zero stands where nothing can be read. What is added up are the updates themselves.
        """
        return updates

    def bound_update(self, update: Update) -> Update:
        """Return what the aggregator counts in place of an update that it received."""
        return update

    def add_up(
        self, updates: Sequence[Update], commitments: Sequence[bytes], rng: torch.Generator
    ) -> Update:
        """Return the sum of a round's updates, where `adds_up` says that the defense forms it.

        `commitments` are what each update's client bound into it. Raises `RefusedError`, and
        releases nothing, where the clients would not let the sum be formed.
        """
        raise TypeError(f"{type(self).__name__} says that it adds up, and must define `add_up`")

    def protect_aggregate(
        self, aggregate: Update, contributors: int, rng: torch.Generator
    ) -> Update:
        """Return what leaves the aggregation in place of the mean of `contributors` updates."""
        return aggregate

    def upload_bytes(self, plain: int) -> int:
        """Return the bytes that one client sends a round, given those that it would send."""
        return plain

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the epsilon records that hold for a job of this exposure."""
        return ()

    def profile(self, exposure: Exposure) -> object | None:
        """Return the guarantee's `accounting.bounds.Profile`, or None where there is none."""
        return None

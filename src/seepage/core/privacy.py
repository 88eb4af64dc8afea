"""The record that an epsilon is (DESIGN rule 4), and what it is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """How often and how finely a job touches the records that a mechanism protects.

    `examples` is the training-set size of the smallest client (the worst case),
    `batch_size` the expected size of a local batch. `parameters` has the number of values of
    each trainable parameter by name, where that is known; empty, bounds hold for any model.
    """

    rounds: int
    local_steps: int
    batch_size: int
    examples: int
    clients: int
    cohort: int
    delta: float = 1e-5
    parameters: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, kw_only=True, slots=True)
class EpsilonRecord:
    """A differential-privacy statement with everything that it depends on.

    Fields
    ------
    mechanism : what was run, with its noise
    unit : `record` or `client`, whose presence is hidden
    adjacency : `add-remove`, `replace` or `zero-out`
    observer : the strongest observer against whom the statement holds, or a vantage:
        `central`, `participation-aware`, `single-updates`
    trust : what the statement assumes that this observer can't see
    delta : the probability term, of the total
    releases : number of composed releases, probes of the auditor included
    per_release_epsilon, total_epsilon : at `delta`; `inf` where nothing holds
    accountant : name and version of the accountant whose (valid) figure this is
    mu : total Gaussian-DP parameter, None under subsampling
    information_bits : bound on the bits that the releases tell of one record
    rero : prior success probability -> bound on reconstruction success
    max_tpr : false-positive rate -> bound on the true-positive rate of a membership test;
        empty where it was not computed
    max_accuracy : bound on the accuracy for a secret bit with even odds; None where it was
        not computed
    noise : `simulated` or `operating-system`, where the noise's seed came from
    task : the job that it holds for, where there are several
    composition : the mechanisms as JSON, so that records compose by composing these; empty
        where they are not known
    bayesian_epsilon : what holds on average over records of an assumed population, and for no
        single one (Triastcyn & Faltings 2020); never an epsilon. None where it is not said
    """

    mechanism: str
    unit: str
    adjacency: str
    observer: str
    trust: str
    delta: float
    releases: int
    per_release_epsilon: float
    total_epsilon: float
    accountant: str
    mu: float | None
    information_bits: float
    rero: Mapping[str, float] = field(default_factory=dict[str, float])
    max_tpr: Mapping[str, float] = field(default_factory=dict[str, float])
    max_accuracy: float | None = None
    noise: str = "simulated"
    task: str = ""
    composition: tuple[Mapping[str, Any], ...] = ()
    bayesian_epsilon: float | None = None

    @property
    def release_epsilon(self) -> float:
        """Return epsilon per release, as the command line calls it."""
        return self.per_release_epsilon

    @property
    def bits(self) -> float:
        """Return the bound on the bits told, as the command line calls it."""
        return self.information_bits

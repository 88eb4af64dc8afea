"""The defenses by name; each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .cards import CARDS

if TYPE_CHECKING:
    from .dp.central_dp import CentralDP
    from .dp.distributed_dp import DistributedDP
    from .dp.local_dp import LocalDP
    from .dp.privacy_budget import PrivacyBudget
    from .dp.randomized_response import RandomizedResponse
    from .dp.records.bayesian_noise import BayesianNoise
    from .dp.records.dp_ftrl import DPFTRL
    from .dp.records.dp_sgd import DPSGD
    from .dp.records.per_coordinate_dp import PerCoordinateDP
    from .model_commitment import ModelCommitment
    from .secure_aggregation import SecureAggregation
    from .sums.ckks import CKKS
    from .sums.masking import Masking
    from .sums.selective_encryption import SelectiveEncryption
    from .sums.shares import ABY3, SEMI2K, Hybrid
    from .sums.spdz import SPDZ
    from .sums.threshold_ckks import ThresholdCKKS
    from .top_k import TopK

__all__ = [
    "ABY3",
    "CKKS",
    "DPFTRL",
    "DPSGD",
    "SEMI2K",
    "SPDZ",
    "BayesianNoise",
    "CentralDP",
    "DistributedDP",
    "Hybrid",
    "LocalDP",
    "Masking",
    "ModelCommitment",
    "PerCoordinateDP",
    "PrivacyBudget",
    "RandomizedResponse",
    "SecureAggregation",
    "SelectiveEncryption",
    "ThresholdCKKS",
    "TopK",
]

_BY_CLASS = {card.implementation.partition(":")[2]: card for card in CARDS}


def __getattr__(name: str) -> Any:
    if name == "PrivacyBudget":  # has no card to build it from: a plan can't hold its ledger
        return import_module(".dp.privacy_budget", __package__).PrivacyBudget
    if name not in _BY_CLASS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _BY_CLASS[name].load()

"""The defenses by name; each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bayesian_noise import BayesianNoise
    from .central_dp import CentralDP
    from .distributed_dp import DistributedDP
    from .dp_ftrl import DPFTRL
    from .dp_sgd import DPSGD
    from .local_dp import LocalDP
    from .model_commitment import ModelCommitment
    from .per_coordinate_dp import PerCoordinateDP
    from .randomized_response import RandomizedResponse
    from .secure_aggregation import SecureAggregation
    from .top_k import TopK

__all__ = [
    "DPFTRL",
    "DPSGD",
    "BayesianNoise",
    "CentralDP",
    "DistributedDP",
    "LocalDP",
    "ModelCommitment",
    "PerCoordinateDP",
    "RandomizedResponse",
    "SecureAggregation",
    "TopK",
]

_MODULES = {
    "DPSGD": "dp_sgd",
    "BayesianNoise": "bayesian_noise",
    "PerCoordinateDP": "per_coordinate_dp",
    "CentralDP": "central_dp",
    "DistributedDP": "distributed_dp",
    "DPFTRL": "dp_ftrl",
    "LocalDP": "local_dp",
    "ModelCommitment": "model_commitment",
    "RandomizedResponse": "randomized_response",
    "SecureAggregation": "secure_aggregation",
    "TopK": "top_k",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __package__), name)

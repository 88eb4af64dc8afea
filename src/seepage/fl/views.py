"""All builders of Views: from a transcript to what one observer saw, and the truth behind it."""

from .client_views import client_views, summed_client_views
from .membership_views import (
    aggregate_history_view,
    global_models_view,
    history_views,
    model_view,
    outputs_view,
)
from .update_views import aggregate_views, update_views

__all__ = [
    "aggregate_history_view",
    "aggregate_views",
    "client_views",
    "global_models_view",
    "history_views",
    "model_view",
    "outputs_view",
    "summed_client_views",
    "update_views",
]

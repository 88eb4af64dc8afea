"""JSON: the result itself, from which every other format derives."""

from __future__ import annotations

import json

from ..core.results import Result


def render(result: Result) -> str:
    """Return `result.json`; a figure that is not a number raises `ValueError`.

    Dates in the plan are written as ISO 8601 text.
    """
    return json.dumps(result.to_json(), indent=2, allow_nan=False, default=str) + "\n"

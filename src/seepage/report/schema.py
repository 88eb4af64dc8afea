"""The JSON Schema of `result.json`, as it ships with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `seepage.result/1`."""
    return json.loads(files(__package__ or "").joinpath("schema.json").read_text("utf-8"))

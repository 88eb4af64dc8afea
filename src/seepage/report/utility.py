"""What the models of a run are good for, in words: score, limits, over what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCORES = {
    "test": "{metric}, held out",
    "train": "{metric}, trained on",
    "gap": "{metric}, trained on less held out",
    "test_auc": "AUC, held out",
}


def utility_rows(utility: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (what, undefended, defended) of every job and side that either has.

    >>> digits = {"metric": "accuracy", "test": 0.9, "test_ci": [0.87, 0.93], "test_n": 400}
    >>> utility_rows({"undefended": {"digits": digits}, "defended": {}})
    [('digits · accuracy, held out (400 records)', '0.900 [0.870, 0.930]', '')]
    """
    before, after = (_shown(utility.get(kind, {})) for kind in ("undefended", "defended"))
    names = list(dict.fromkeys([*before, *after]))
    return [(name, before.get(name, ""), after.get(name, "")) for name in names]


def score(quality: Mapping[str, Any], side: str = "test") -> str:
    """Return a score with its limits, and how it fell where there were several runs.

    >>> score({"test": 0.9, "test_ci": [0.87, 0.93], "runs": 3, "test_range": [0.88, 0.91]})
    '0.900 [0.870, 0.930]; 3 runs, 0.880 to 0.910'
    """
    text = f"{quality[side]:.3f}"
    if limits := quality.get(f"{side}_ci"):
        text += f" [{limits[0]:.3f}, {limits[1]:.3f}]"
    if spread := quality.get(f"{side}_range"):
        text += f"; {quality['runs']} runs, {spread[0]:.3f} to {spread[1]:.3f}"
    return text


def _shown(jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        _name(job, quality, side): score(quality, side)
        for job, quality in jobs.items()
        for side in SCORES
        if side in quality
    }


def _name(job: str, quality: Mapping[str, Any], side: str) -> str:
    over = f" ({quality[f'{side}_n']:,} records)" if f"{side}_n" in quality else ""
    what = SCORES[side].format(metric=quality.get("metric", "quality"))
    return f"{job} · {what}{over}"

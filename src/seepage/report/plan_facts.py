"""The parts of a plan that a reader of its report needs, in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.results import Result
from .words import duration, figure, size


def job_facts(result: Result) -> list[tuple[str, str]]:
    """Return (what, how) of the jobs, defenses and gate; what a plan lacks is left out."""
    plan = result.plan
    facts = [(f"Job {t.get('name', '')}".strip(), _job(t)) for t in plan.get("tasks") or ()]
    facts.append(("Defenses", component_list(plan.get("defenses") or ()) or "none"))
    if observers := plan.get("observers"):
        facts.append(("Observers", ", ".join(map(str, observers))))
    gate = plan.get("gate") or {}
    if gate:
        counted = ", ".join(map(str, gate.get("metrics") or ())) or "every metric"
        where = ", ".join(map(str, gate.get("observers") or ())) or "every observer"
        tolerated = f"; a gain of {gate['tolerance']} is tolerated" if "tolerance" in gate else ""
        facts.append(("What counts", f"{counted}, by {where}{tolerated}"))
    return facts


def _job(task: Mapping[str, Any]) -> str:
    data, model = task.get("data") or {}, task.get("model") or {}
    training = task.get("training") or {}
    parts = [
        f"{data.get('source', '?')} over {data.get('clients', '?')} clients "
        f"({data.get('partition', '?')})",
        f"model {component_list([model])}" if model else "",
        ", ".join(_setting(k, v) for k, v in training.items()),
    ]
    return "; ".join(p for p in parts if p)


def component_list(components: Sequence[Mapping[str, Any]]) -> str:
    """Return names of defenses or models with their settings, in one line."""
    return ", ".join(
        str(c.get("name", "?")) + (f" ({_settings(c['settings'])})" if c.get("settings") else "")
        for c in components
    )


def _setting(name: str, value: Any) -> str:
    # In a plan, 0 stands for all records of a client and for all clients of a job.
    everything = value == 0 and name in ("batch_size", "cohort")
    return f"{name.replace('_', ' ')} {'all' if everything else value}"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in settings.items())


_INTERNAL = ("line", "planned_units")
_DETAILS = {
    "candidates": "among candidates:",
    "note": "",
    "psnr_median_db": "median PSNR, dB:",
    "ssim_median": "median SSIM:",
    "ssim_window": "SSIM window:",
    "tpr_at_1pct_fpr": "TPR at 1 % FPR",
    "tpr_at_01pct_fpr": "TPR at 0.1 % FPR",
}


def measured_details(details: Mapping[str, Any]) -> str:
    """Return a finding's further figures in one line."""
    return " · ".join(measured_lines(details))


def measured_lines(details: Mapping[str, Any]) -> list[str]:
    """Return a finding's further figures, one by one.

    >>> measured_lines({"recovery": {"20 dB": {"rate": 0.5, "gain": 0.4, "gain_ci": [0, 1]}}})
    ['back at 20 dB: 0.5 (gain 0.4)']
    """
    shown = {
        k: v
        for k, v in details.items()
        if k not in _INTERNAL and v != "" and isinstance(v, str | int | float)
    }
    told = [
        f"{_DETAILS.get(k, k.replace('_', ' '))} {figure(v) if isinstance(v, float) else v}".strip()
        for k, v in shown.items()
    ]
    for threshold, found in details.get("recovery", {}).items():
        told.append(f"back at {threshold}: {found['rate']:.2g} (gain {found['gain']:.2g})")
    if sees := details.get("client_sees"):
        told.append(f"what a client sees in the model it was sent: {_sight(sees)}")
    return told


def _sight(sees: Mapping[str, Mapping[str, Any]]) -> str:
    """Return each figure of the sent model, with that of an honest one in brackets."""

    def short(value: Any) -> str:
        """Return a number in two digits."""
        return f"{value:.2g}" if isinstance(value, int | float) else str(value)

    honest = {name: short(value) for name, value in sees["honest"].items()}
    return ", ".join(
        f"{name.replace('_', ' ')} {short(value)} (honest {honest.get(name, 'none')})"
        for name, value in sees["sent"].items()
    )


def cost_rows(cost: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return (what, how much) of an audit's time and traffic, those that are known first."""
    labels = {
        "seconds": ("Time of the audit", duration),
        "bytes_up": ("Sent by clients, all rounds", size),
        "bytes_up_per_client": ("Sent by one client on average, all rounds", size),
        "bytes_down": ("Sent to clients, all rounds", size),
    }
    known = [(labels[k][0], labels[k][1](v)) for k, v in cost.items() if k in labels]
    return known + [(k.replace("_", " "), figure(v)) for k, v in cost.items() if k not in labels]

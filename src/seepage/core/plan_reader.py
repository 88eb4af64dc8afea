"""Reads a plan from TOML into typed dataclasses; what does not fit is named with its line."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from . import toml_lines
from .errors import PlanError, UsageError
from .names import nearest
from .plan import MOMENTS, Acceptance, Component, Plan, check_observers, parse_budget
from .registry import canonical, canonical_finding, card, cards

_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}


def read_plan(text: str, *, source: str = "", settings: Sequence[str] = ()) -> Plan:
    """Return the plan in a TOML text, after applying `key=value` settings.

    Raises `PlanError` with the line and, for a mistyped name, the nearest one.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"not valid TOML: {error}", source=source) from error
    return _Reader(source, toml_lines.key_lines(text)).plan(data, settings)


def read_plan_file(path: str | Path, settings: Sequence[str] = ()) -> Plan:
    """Return the plan in a file; raise `PlanError` where there is no readable one."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"can't be read: {error}", source=str(path)) from error
    return read_plan(text, source=str(path), settings=settings)


class _Reader:
    def __init__(self, source: str, lines: Mapping[toml_lines.Path, int]) -> None:
        self.source, self.lines = source, lines

    def fail(self, path: toml_lines.Path, message: str) -> PlanError:
        """Return the error for a key, with the line of the key or of its nearest table."""
        known = [path[:i] for i in range(len(path), 0, -1) if path[:i] in self.lines]
        line = self.lines[known[0]] if known else None
        return PlanError(message, source=self.source, line=line)

    def plan(self, data: dict[str, Any], settings: Sequence[str]) -> Plan:
        """Return the plan in a parsed TOML document, after applying settings."""
        if settings and not data.get("attacks"):
            data["attacks"] = [{"name": name} for name in cards("attacks")]
        for setting in settings:
            _apply(data, setting)
        plan: Plan = self.table(Plan, data, ())
        self.check(plan)
        return plan

    def table(self, cls: type[Any], data: Any, path: toml_lines.Path) -> Any:
        """Return a dataclass of type `cls` from a TOML table; unknown keys are errors."""
        if not isinstance(data, dict):
            raise self.fail(path, f"{_dotted(path)} must be a table, not {data!r}")
        if cls is Component:
            return self.component(data, path)
        hints = get_type_hints(cls)
        for key in data:
            if key not in hints:
                raise self.fail(
                    (*path, key),
                    f"unknown key {_dotted((*path, key))!r}{nearest(key, hints)}",
                )
        required = {f.name for f in fields(cls)} if cls is Acceptance else set[str]()
        if missing := required - data.keys():
            raise self.fail(path, f"{_dotted(path)} lacks {', '.join(sorted(missing))}")
        values = {k: self.value(hints[k], v, (*path, k)) for k, v in data.items()}
        if cls is Acceptance:
            values["id"] = canonical_finding(values["id"])
        try:
            return cls(**values)
        except UsageError as error:
            culprit = next((k for k in data if f"{k} is" in str(error)), "")
            raise self.fail((*path, culprit) if culprit else path, str(error)) from error

    def component(self, data: Mapping[str, Any], path: toml_lines.Path) -> Component:
        """Return a named component whose settings its card knows."""
        name = data.get("name")
        if not isinstance(name, str):
            raise self.fail(path, f"{_dotted(path)} needs a name")
        kind = "models" if path[-1] == "model" else str(path[0])
        settings = {k: v for k, v in data.items() if k != "name"}
        if ":" not in name:
            try:
                found = card(kind, name)
                found.check(settings)
                name = found.name
            except UsageError as error:
                culprit = next((k for k in settings if repr(k) in str(error)), "name")
                raise self.fail((*path, culprit), str(error)) from error
        return Component(name=name, settings=settings)

    def value(self, kind: Any, value: Any, path: toml_lines.Path) -> Any:
        """Return a TOML value as the type that the field at `path` has."""
        origin, args = get_origin(kind), get_args(kind)
        if origin is UnionType:
            return self.value(args[0], value, path)
        if origin is tuple:
            if not isinstance(value, list):
                raise self.fail(path, f"{_dotted(path)} must be a list, not {value!r}")
            values = (self.value(args[0], v, (*path, i)) for i, v in enumerate(value))
            if path[-1] == "attacks" and args[0] is str:
                return tuple(canonical("attacks", name) for name in values)
            return tuple(values)
        if is_dataclass(kind):
            return self.table(kind, value, path)  # pyright: ignore[reportArgumentType]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if kind is datetime.date and isinstance(value, str):
            try:
                return datetime.date.fromisoformat(value)
            except ValueError as error:
                wanted = f"{_dotted(path)} = {value!r} must be a date, as 2030-12-31"
                raise self.fail(path, wanted) from error
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fail(path, f"{_dotted(path)} = {value!r} must be {_KINDS.get(kind, kind)}")
        return value

    def check(self, plan: Plan) -> None:
        """Refuse values that have the right type and make no sense."""
        try:
            parse_budget(plan.budget)
        except ValueError as error:
            raise self.fail(
                ("budget",), f"budget {plan.budget!r} is no time: use 60s, 10m, 2h or none"
            ) from error
        try:
            check_observers(plan.observers)
        except UsageError as error:
            raise self.fail(("observers",), str(error)) from error
        if plan.units < 0:
            raise self.fail(("units",), "units must be 0 (enough for a clear) or more")
        if not plan.tasks:
            raise self.fail(("tasks",), "a plan needs at least one [[tasks]]")
        if not 0 < plan.delta < 1:
            raise self.fail(("delta",), "delta must lie between 0 and 1")
        names = [task.name for task in plan.tasks]
        for i, task in enumerate(plan.tasks):
            if names.index(task.name) != i:
                raise self.fail(("tasks", i, "name"), f"two tasks are called {task.name!r}")
            if not task.moments:
                raise self.fail(("tasks", i, "moments"), f"name at least one of {MOMENTS}")
            known = [a.name for a in plan.attacks] or list(cards("attacks"))
            for name in task.attacks:
                if name not in known:
                    raise self.fail(
                        ("tasks", i, "attacks"),
                        f"{name!r} is not among the plan's attacks{nearest(name, known)}",
                    )
            for moment in task.moments:
                if moment not in MOMENTS:
                    raise self.fail(
                        ("tasks", i, "moments"),
                        f"no moment is called {moment!r}{nearest(moment, MOMENTS)}",
                    )


def _dotted(path: toml_lines.Path) -> str:
    return ".".join(map(str, path)) or "the plan"


def _apply(data: dict[str, Any], setting: str) -> None:
    """Apply `tasks.mlp.training.lr=0.1`: array members by name or index, values as TOML."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise UsageError(f"--set {setting}: write key=value")
    try:
        value: Any = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    parts = key.strip().split(".")
    place: Any = data
    for i, part in enumerate(parts[:-1]):
        place = _step(place, part, f"--set {setting}: {'.'.join(parts[: i + 1])}")
    if not isinstance(place, dict):
        raise UsageError(f"--set {setting}: {'.'.join(parts[:-1])} holds no keys")
    place[parts[-1]] = value


def _step(place: Any, part: str, where: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    if isinstance(place, list):
        names: list[str] = [str(item.get("name", i)) for i, item in enumerate(place)]
        if part in names:
            return place[names.index(part)]
        known = [canonical("attacks", name) for name in names]
        if canonical("attacks", part) in known:
            return place[known.index(canonical("attacks", part))]
        if part.isdigit() and int(part) < len(place):
            return place[int(part)]
        raise UsageError(f"{where}: not in the plan{nearest(part, names)}")
    raise UsageError(f"{where}: holds no keys")


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Return the plan that `Plan.to_json` wrote."""
    return _Reader("", {}).plan(_as_toml(data), ())


def _as_toml(value: Any) -> Any:
    """Undo `to_json`: a component's settings stand beside its name in TOML."""
    if isinstance(value, Mapping):
        table = {str(k): _as_toml(v) for k, v in value.items()}
        settings = table.pop("settings", {})
        return {**table, **settings}
    return [_as_toml(v) for v in value] if isinstance(value, list | tuple) else value

"""What is kept of a race: JSON lines, and what tells whether a line still holds."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seepage

if TYPE_CHECKING:
    from collections.abc import Callable

_RACED = ("inversion/exact", "inversion/optimized", "attribute")


@dataclass(slots=True)
class Records:
    """The lines of a file, by their keys; `common` is added to new ones."""

    path: Path
    common: dict[str, Any] = field(default_factory=dict)

    def all(self) -> list[dict[str, Any]]:
        """Return every line, none where there is no file yet."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def recorded(self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> Any:
        """Return the last line with this key; else measure, and add it."""
        known = [record for record in self.all() if record["key"] == key]
        if known:
            return known[-1]
        stamp = {"date": date.today().isoformat(), "load": round(os.getloadavg()[0], 2)}
        record = {"key": key, **measure(), **stamp, **self.common}
        with self.path.open("a") as file:
            print(json.dumps(record), file=file)
        return record


def facts(peer_versions: dict[str, str]) -> dict[str, Any]:
    """Return versions, the machine, and a hash of the attacks that are raced."""
    attacks = Path(seepage.__file__).parent / "attacks"
    sources = [p for part in _RACED for p in sorted((attacks / part).rglob("*.py"))]
    sources += [attacks / "layers.py", attacks / "stand_ins.py"]
    code = hashlib.sha256()
    for path in sources:
        if path.name != "cards.py":
            code.update(path.read_bytes())
    ours = {"seepage": version("seepage"), "torch": version("torch")}
    return {
        "code": code.hexdigest()[:12],
        "versions": {"ours": {**ours, "python": platform.python_version()}, "peer": peer_versions},
        "machine": {"cores": os.cpu_count(), "cpu": _processor()},
    }


def _processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

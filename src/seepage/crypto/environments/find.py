"""Looks for the interpreter of an environment: named by the user, or made by `seepage doctor`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pooch

from ...core.errors import UsageError
from .cards import Environment, command

_PROBE_SECONDS = 120.0


def require(environment: Environment) -> Path:
    """Return an interpreter that can import the library.

    Raises `UsageError` that names the command which makes one; it is never made silently.
    """
    python = find(environment)
    if python is None:
        raise UsageError(
            f"{environment.name} runs in an environment of its own, and there is none: "
            f"{environment.command} makes it (it needs {environment.needs}), or "
            f"{environment.variable} names an interpreter that has it"
        )
    return _that_works(environment, python)


def find(environment: Environment) -> Path | None:
    """Return the interpreter that the user names, else the one that was made, else None."""
    named = os.environ.get(environment.variable)
    if named:
        return Path(named).expanduser()
    made = made_python(made_folder(environment))
    return made if made.exists() else None


def lacking(environments: Sequence[Environment]) -> str:
    """Return how to get those environments that are not there; empty where all are."""
    found = {environment: find(environment) for environment in environments}
    absent = [environment.name for environment, python in found.items() if python is None]
    wrong = [
        f"{environment.variable} names no program: {python}"
        for environment, python in found.items()
        if python is not None and not shutil.which(str(python))
    ]
    return "; ".join(([command(absent)] if absent else []) + wrong)


def made_folder(environment: Environment) -> Path:
    """Return where the environment is put when it is made; it is there whole or not at all."""
    cached = Path(pooch.os_cache("seepage")) / "environments"
    return cached / f"{environment.name}-{environment.fingerprint}"


def made_python(folder: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return folder / "bin" / "python"


def version(environment: Environment, python: Path) -> str:
    """Return the library's version and Python's, by an import there; `UsageError` if it fails."""
    name = environment.name
    code = (
        f"import {name}, numpy, platform; from importlib.metadata import version; "
        f"print(version({name!r}), 'on Python', platform.python_version())"
    )
    try:
        done = subprocess.run(
            [python, "-I", "-c", code],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
        trouble = done.stderr.strip().splitlines()[-1:] if done.returncode else []
        if not done.returncode:
            return done.stdout.strip().splitlines()[-1]
        reason = trouble[0] if trouble else f"it ended with code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise UsageError(f"{python} can't import {name}: {' '.join(reason.split())}")


@cache
def _that_works(environment: Environment, python: Path) -> Path:
    """Return `python`; what is raised is not cached, so that it can be mended meanwhile."""
    try:
        version(environment, python)
    except UsageError as error:
        mend = (
            f"{environment.variable} names that interpreter; name another, or unset it and run "
            if os.environ.get(environment.variable)
            else "make it anew by "
        )
        raise UsageError(f"{error}; {mend}{environment.command}") from error
    return python

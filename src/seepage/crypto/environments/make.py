"""Makes the environment of a library: a virtual environment of an interpreter that fits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ...core.errors import UsageError
from ...core.locks import locked
from .cards import Environment, Recipe
from .find import made_folder, made_python, version


def make(environment: Environment, say: Callable[[str], None]) -> Path:
    """Make the environment, and return its interpreter.

    It is made beside its place and moved there once the library was imported in it: one that was
    killed halfway is never found, and its rest is cleared away by the next. `say` gets lines of
    progress. Raises `UsageError` where no interpreter fits, or none of the installations works.
    """
    place = made_folder(environment)
    place.parent.mkdir(parents=True, exist_ok=True)
    busy = f"the {environment.name} environment is being made by another process"
    partial = place.with_suffix(".part")
    with locked(place.with_suffix(".lock"), busy):
        reasons: list[str] = []
        for recipe in environment.recipes:
            python = next(interpreters(recipe.python), None)
            if python is None:
                continue
            say(f"making the {environment.name} environment with {python}")
            try:
                _install(python, recipe, partial)
                found = version(environment, made_python(partial))
            except UsageError as error:
                reasons.append(str(error))
                continue
            # An interpreter of a virtual environment does not mind to be moved with it.
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
            say(f"made {place}: {environment.name} {found}")
            return made_python(place)
        shutil.rmtree(partial, ignore_errors=True)
    if reasons:
        raise UsageError(f"{environment.name} could not be installed: {'; '.join(reasons)}")
    raise UsageError(
        f"{environment.name} needs {environment.needs}, and none is on PATH or among pyenv's "
        f"versions: install one (say, pyenv install 3.10), or name an interpreter that has "
        f"{environment.name} in {environment.variable}"
    )


def interpreters(wanted: tuple[int, int]) -> Iterator[Path]:
    """Yield interpreters of a version that can make virtual environments: ours, PATH, pyenv."""
    number = ".".join(map(str, wanted))
    candidates = [Path(sys.executable)]
    candidates += [Path(found) for found in (shutil.which(f"python{number}"),) if found]
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates += sorted(pyenv.glob(f"{number}.*/bin/python"), key=_numbers, reverse=True)
    yield from (python for python in candidates if _fits(python, wanted))


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _fits(python: Path, wanted: tuple[int, int]) -> bool:
    code = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != {wanted})"
    try:
        return not subprocess.run(
            [python, "-I", "-c", code], capture_output=True, timeout=60, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def _install(python: Path, recipe: Recipe, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run("the virtual environment was not made", python, "-I", "-m", "venv", folder)
    pip = (made_python(folder), "-I", "-m", "pip", "--disable-pip-version-check")
    install = ("install", "--quiet", "--retries", "2", "--only-binary", ":all:", *recipe.pins)
    _run(f"pip could not install {recipe.pins[0]} (is there a network?)", *pip, *install)


def _run(trouble: str, *command: str | Path) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise UsageError(f"{trouble}: {errors[-1].strip() if errors else done.returncode}")

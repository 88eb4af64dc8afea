import os
import subprocess
import sys
from pathlib import Path

import pytest

from seepage.core.errors import UsageError
from seepage.crypto.environments import find, make
from seepage.crypto.environments.cards import ENVIRONMENTS, OPENFHE, Environment, Recipe


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    for environment in ENVIRONMENTS.values():
        monkeypatch.delenv(environment.variable, raising=False)
    return tmp_path


def test_a_missing_environment_is_never_made_and_says_how(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="seepage doctor --make openfhe"):
        find.require(OPENFHE)
    assert not list(empty_cache.iterdir())
    monkeypatch.setenv(OPENFHE.variable, sys.executable)
    with pytest.raises(UsageError) as error:
        find.require(OPENFHE)
    assert "No module named 'openfhe'; SEEPAGE_OPENFHE_PYTHON names that" in str(error.value)
    monkeypatch.setenv(OPENFHE.variable, str(empty_cache / "nowhere"))
    with pytest.raises(UsageError, match=r"can't import openfhe: .*No such file"):
        find.require(OPENFHE)


def environment_of(name: str, *pins: str, python: tuple[int, int] | None = None) -> Environment:
    recipe = Recipe(python=python or sys.version_info[:2], pins=pins)
    return Environment(name=name, recipes=(recipe,), needs="this very Python")


def test_an_environment_that_fails_leaves_nothing_to_be_taken_for_whole(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    failing = environment_of("absent", "absent-from-every-index==1")
    with pytest.raises(UsageError, match="absent could not be installed: pip could not") as error:
        make.make(failing, said.append)
    assert "\n" not in str(error.value)
    assert find.find(failing) is None
    assert not [path for path in find.made_folder(failing).parent.iterdir() if path.is_dir()]
    # As a make that was killed leaves it:
    find.made_folder(failing).with_suffix(".part").mkdir()
    assert find.find(failing) is None
    old = environment_of("absent", "a==1", python=(2, 7))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(UsageError, match="absent needs this very Python, and none is on PATH"):
        make.make(old, said.append)


def test_two_makes_do_not_mix(empty_cache: Path) -> None:
    waiting = environment_of("absent", "absent-from-every-index==1")
    folder = find.made_folder(waiting)
    folder.parent.mkdir(parents=True)
    with make.locked(folder.with_suffix(".lock"), "busy"), pytest.raises(UsageError, match="being"):
        make.make(waiting, print)


def test_a_made_environment_works_where_it_was_moved(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The standard library stands in for what pip would fetch.
    monkeypatch.setattr(make, "_install", _bare_venv)
    monkeypatch.setattr(make, "version", lambda environment, python: "1")
    bare = environment_of("json")
    python = make.make(bare, print)
    assert python == find.find(bare)
    done = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True)
    assert Path(done.stdout.decode().strip()) == find.made_folder(bare)


def _bare_venv(python: Path, recipe: Recipe, folder: Path) -> None:
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)


def test_a_real_environment_answers_if_there_is_one() -> None:
    for environment in ENVIRONMENTS.values():
        if find.find(environment):
            assert "on Python 3.1" in find.version(environment, find.require(environment))


def test_the_doctor_says_how_to_get_what_is_missing(tmp_path: Path) -> None:
    cleared = dict.fromkeys((e.variable for e in ENVIRONMENTS.values()), "")
    environ = {**os.environ, **cleared, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "seepage", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    for name in ENVIRONMENTS:
        assert f"{name:<14} seepage doctor --make {name} (needs Python 3" in done.stdout
    environ |= {OPENFHE.variable: sys.executable}
    command += ["--make", "openfhe"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("seepage: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())

"""`seepage list protocols` and `seepage show protocols`: secure sums side by side."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from seepage.cli.main import run
from seepage.crypto.cards import CARDS as SUMS
from seepage.crypto.environments.cards import ENVIRONMENTS
from seepage.crypto.vote_cards import VOTES

CARDS = (*SUMS, *VOTES)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has none of the optional modules and interpreters."""
    modules = {card.module for card in CARDS}
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *package: None if name in modules else real(name, *package),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for environment in ENVIRONMENTS.values():
        monkeypatch.delenv(environment.variable, raising=False)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 200])
def test_all_protocols_stand_in_one_table(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = said(capsys, "show", "protocols")
    assert max(map(cell_len, text.splitlines())) <= width
    head, *rows = text.splitlines()[1:]
    promises = ("trust tolerates leaks beside the sum ", " here") if width == 200 else ("", "")
    figures = "rounds client ms server ms dealer ms bytes"
    assert " ".join(head.split()) == f"protocol security {figures.join(promises)}"
    starts = [line.split()[0] for line in rows if line[:1].strip()]
    assert [name for name in starts if name in {c.name for c in CARDS}][: len(CARDS)] == [
        card.name for card in CARDS
    ]
    if width == 80:
        flat = " ".join(text.split())
        for card in CARDS:
            promise = f"trust {card.trust} tolerates {card.tolerates} leaks {card.leaks} here"
            assert promise in flat


@pytest.mark.usefixtures("bare")
def test_what_is_not_installed_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lacking = {card.name: card.missing() for card in CARDS if card.missing()}
    assert lacking["ckks"] == "pip install 'seepage[he]'"
    flat = " ".join(said(capsys, "show", "protocols").split())
    for how in lacking.values():
        assert f"here {how}" in flat
    assert flat.count("here installed") == len(CARDS) - len(lacking)
    listed = " ".join(said(capsys, "list", "protocols").split())
    assert listed.count("Not installed here: ") == len(lacking)
    assert "Not installed here: pip install 'seepage[he]'" in " ".join(
        said(capsys, "show", "ckks").split()
    )
    cards = json.loads(said(capsys, "list", "protocols", "--json"))
    assert {c["name"]: c["missing"] for c in cards if c["missing"]} == lacking


def test_the_list_as_json_holds_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    cards = json.loads(said(capsys, "list", "protocols", "--json"))
    assert [card["name"] for card in cards] == [card.name for card in CARDS]
    named = {"security", "trust", "tolerates", "leaks", "rounds", "client_ms", "server_ms"}
    assert all(named | {"expansion", "missing"} <= set(card) for card in cards)
    everything = json.loads(said(capsys, "list", "--json"))
    assert everything["protocols"] == cards


def test_a_defense_by_a_protocol_shows_the_facts_of_both(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = said(capsys, "show", "masking")
    assert [line for line in text.splitlines() if line.startswith("masking")] == ["masking"]
    for fact in ("adaptive attacks  fully", "who computes      a server", "needs "):
        assert fact in text
    alone = said(capsys, "show", "plain")
    assert "leaks           every vector" in alone
    assert "adaptive attacks" not in alone


def test_a_name_of_two_kinds_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "show", "heart-disease")
    assert [line for line in text.splitlines() if line.startswith("heart-disease")] == [
        "heart-disease (dataset)",
        "heart-disease (plan)",
    ]
    assert said(capsys, "show", "plans") == said(capsys, "list", "plans")
    assert run(["show", "protocol"]) == 2
    assert "did you mean 'protocols'?" in capsys.readouterr().err


def test_reading_of_protocols_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom seepage.cli.main import run\n"
        "for a in (['list'], ['list', 'protocols', '--json'], ['show', 'protocols'],\n"
        "          ['show', 'masking'], ['show', 'plain']):\n"
        "    assert run(a) == 0, a\n"
        "heavy = {'torch', 'numpy', 'scipy', 'cryptography', 'tenseal'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

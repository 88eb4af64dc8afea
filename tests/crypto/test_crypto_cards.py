"""Every protocol says what it needs to be true, what it shows and what it costs."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from seepage.core.errors import UsageError
from seepage.crypto.cards import CARDS, MALICIOUS, SEMI_HONEST, ProtocolCard, protocol_card
from seepage.crypto.environments.cards import ENVIRONMENTS, command
from seepage.crypto.protocol import SumProtocol
from seepage.crypto.vote_cards import VOTES
from seepage.defenses.cards import CARDS as DEFENSES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "benchmarks" / "results" / "secure_sum.md"
EACH = pytest.mark.parametrize("card", [*CARDS, *VOTES], ids=lambda card: card.name)


def measured() -> dict[str, dict[str, str]]:
    """The page's figures of a million parameters, by protocol; none while there is no page."""
    if not PAGE.exists():
        return {}
    lines = PAGE.read_text().partition("## 1,000,000 parameters")[2].strip().splitlines()
    table = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads, _, *rows = [row for row in table if row]
    return {row[0]: dict(zip(heads, row, strict=True)) for row in rows if len(row) == len(heads)}


@EACH
def test_every_field_is_filled(card: ProtocolCard) -> None:
    assert min(map(len, (card.summary, card.parties, card.trust, card.tolerates, card.leaks))) > 5
    assert all(p.summary for p in card.parameters)
    assert card.security in {SEMI_HONEST, MALICIOUS} or card.name == "plain"
    assert card.name == "plain" or (card.reference and card.year)
    assert card.rounds >= 1 <= card.expansion
    assert bool(card.extra) == bool(card.module)
    assert set(card.environments) <= set(ENVIRONMENTS)
    if card.extra:
        assert f"\n{card.extra} = [" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_card_describes_its_protocol(card: ProtocolCard) -> None:
    implementation = card.load()
    assert issubclass(implementation, SumProtocol)
    assert implementation.name == card.name
    assert {p.name: p.default for p in card.parameters} == {
        f.name: f.default for f in fields(implementation)
    }


@EACH
def test_figures_are_those_of_the_benchmark(card: ProtocolCard) -> None:
    figures = {
        "client, ms": card.client_ms,
        "server, ms": card.server_ms,
        "offline, ms": card.offline_ms,
    }
    row = measured().get(card.name)
    if row is None:
        assert set(figures.values()) == {None}
        return
    for head, told in figures.items():
        assert (told is None) == (not row[head]), head
        if told is not None:
            assert told / 2 - 0.1 <= float(row[head]) <= 2 * told + 0.1, head
    assert card.expansion == pytest.approx(float(row["up"].rstrip("x")), rel=0.1)


def test_every_defense_by_a_protocol_names_its_card() -> None:
    named = {card.name: card.protocol for card in DEFENSES if card.protocol}
    assert {"masking", "spdz", "ckks"} <= set(named)
    for name, protocol in named.items():
        assert protocol_card(protocol).name == name


def test_what_is_missing_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for environment in ENVIRONMENTS.values():
        monkeypatch.delenv(environment.variable, raising=False)
    told = {card.name: card.missing() for card in CARDS}
    assert told["masking"] == told["spdz"] == ""
    assert told["ckks"] == "pip install 'seepage[he]'"
    for card in CARDS:
        if card.environments:
            assert told[card.name] == command(card.environments)
    for card in CARDS:
        if card.missing():
            with pytest.raises(UsageError, match=re.escape(card.missing())):
                card.require()


def test_an_interpreter_that_is_not_there_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = protocol_card("threshold-ckks")
    monkeypatch.setenv("SEEPAGE_OPENFHE_PYTHON", str(tmp_path / "python"))
    assert card.missing() == f"SEEPAGE_OPENFHE_PYTHON names no program: {tmp_path / 'python'}"
    for there in (sys.executable, "sh"):
        monkeypatch.setenv("SEEPAGE_OPENFHE_PYTHON", there)
        assert card.missing() == ""

"""A run by a secure sum says who computed it, what had to be true, what it hid and what it cost."""

import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from seepage.core.results import Result
from seepage.crypto.cards import CARDS, protocol_card
from seepage.report import html, markdown
from seepage.report.document import document
from seepage.report.sum_in_force import sum_in_force
from seepage.report.table import print_result

EVIL = "<img src=x> | `a` @all"
SPENT = {"bytes_up": 24_000_000, "bytes_down": 8_000_000, "bytes_up_per_client": 6_000_000}


def defended(result: Result, name: str, **settings: Any) -> Result:
    """The result, of a job with one defense that spent three times its models on uploads."""
    plan = {**result.plan, "defenses": [{"name": name, "settings": settings}]}
    return replace(result, plan=plan, cost={"seconds": 1.0, **SPENT})


def everything(result: Result) -> list[str]:
    """The report in words, format by format."""
    out = io.StringIO()
    print_result(result, Console(file=out, width=80))
    assert max(map(cell_len, out.getvalue().splitlines())) <= 80
    return [
        html.render(result),
        markdown.render(result),
        json.dumps(document(result), ensure_ascii=False),
        " ".join(out.getvalue().split()),
    ]


@pytest.mark.parametrize("name", ["masking", "spdz", "ckks"])
def test_the_protocol_in_force_is_told_in_every_format(result: Result, name: str) -> None:
    card = protocol_card(name)
    for text in everything(defended(result, name)):
        for promise in (card.trust, card.tolerates, card.leaks):
            assert promise.replace("*", "\\*")[1:] in text
        assert "6.0 MB on average over all rounds, 3.00x the models that it received" in text
    found = sum_in_force(defended(result, name))
    assert found is not None
    assert [row.name for row in found.rows] == [card.name for card in CARDS]
    assert [row.name for row in found.rows if row.in_force] == [name]


def test_it_is_marked_among_all_protocols(result: Result) -> None:
    page, text, *_ = everything(defended(result, "spdz"))
    assert re.findall(r'class="ours">\s*<tr[^>]*><th[^>]*>(\S+) <span class="tag">in', page) == [
        "spdz"
    ]
    assert page.count("Leaks beside the sum") == len(CARDS)
    table = [line for line in text.splitlines() if re.match(r"\| \**(\S+?)\** ", line)][
        -len(CARDS) :
    ]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in table} == {11}
    assert [row for row in table if "in force" in row] == [r for r in table if "**spdz**" in r]


@pytest.mark.parametrize("name", ["dp-sgd", "secure-aggregation", "top-k", "of another package"])
def test_other_defenses_have_no_such_section(result: Result, name: str) -> None:
    for run in (result, defended(result, name), replace(result, plan={})):
        assert sum_in_force(run) is None
        for text in everything(run):
            assert "secure sum" not in text.lower().replace("secure sums", "")


def test_settings_in_force_are_the_given_ones_over_the_defaults(result: Result) -> None:
    found = sum_in_force(defended(result, "masking", colluders=2, threshold=None))
    assert found is not None
    assert dict(found.facts)["Settings"] == "bound 16.0, colluders 2, neighbors 0, minimum_cohort 2"


def test_a_run_that_does_not_say_what_it_spent_says_nothing_of_it(result: Result) -> None:
    older = replace(defended(result, "masking"), cost={"bytes_up": 8.0, "bytes_down": 8.0})
    found = sum_in_force(older)
    assert found is not None
    assert "Sent by a client" not in dict(found.facts)


def test_settings_can_not_break_out(result: Result) -> None:
    page, text, *_ = everything(defended(result, "masking", threshold=EVIL))
    assert "<img" not in page
    assert "<img" not in text
    assert "&lt;img" in page

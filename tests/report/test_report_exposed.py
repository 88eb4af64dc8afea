"""Memberships in words: sentences say the numbers, tables name rows and groups, never values."""

from __future__ import annotations

import json
from dataclasses import replace

from membership_fixture import HOSTILE, MEMBERSHIP
from report_fixture import BASE

from seepage.core.exposed import FoundAt, Group
from seepage.core.results import Finding, Result
from seepage.report import html, json_file, markdown
from seepage.report.exposed import BAR, exposed, group_bar, membership_sentence

AUC = replace(BASE, metric="auc", value=0.61, ci=(0.55, 0.67), null=0.5)


def said(*found: FoundAt, finding: Finding = AUC) -> str:
    return membership_sentence(finding, replace(MEMBERSHIP, found=found))


def test_a_sentence_says_what_the_numbers_say() -> None:
    assert said(*MEMBERSHIP.found) == (
        "Of 100 records in the training data, an attacker who may wrongly accuse 1 of 100 "
        "outsiders finds 23 [20, 26]; without what it saw it would find 1.2."
    )
    tenth = FoundAt(fpr=0.1, value=0.12, ci=(0.08, 0.17), null=0.09)
    few = FoundAt(fpr=0.01, withheld="300 non-members, 1,000 needed")
    assert said(few, tenth).endswith(
        "wrongly accuse 10 of 100 outsiders finds 12 [8, 17]; without what it saw it would "
        "find 10, so this may be chance."
    )
    none = replace(tenth, value=0.05, ci=(0.02, 0.09))
    assert said(few, none).endswith(
        "finds 5 [2, 9]; without what it saw it would find 10, no fewer."
    )
    assert said(few).endswith("picks the right one 61 times in 100 [55, 67]; a coin does 50 times.")
    assert said(few, finding=replace(AUC, ci=(0.49, 0.67))).endswith("so this may be chance.")


def test_rates_come_before_the_auc_and_balanced_accuracy_last(result: Result) -> None:
    first, *_ = exposed(result.findings)
    assert [r.name for r in first.rates] == [
        "found at 0.1 % FPR",
        "found at 1 % FPR",
        "found at 10 % FPR",
        "AUC",
        "balanced accuracy",
    ]
    assert first.rates[0].withheld == "withheld: 1,100 non-members, 10,000 needed"
    assert (first.rates[0].value, first.rates[1].value) == ("", "23 %")
    (by_sex, differ), (by_client, alone) = first.slices
    assert differ == (
        "The groups differ beyond chance in AUC (AUC: p < 0.0001; corrected for 2 tests)."
    )
    assert (by_sex.by, by_client.by) == ("sex", "client")
    assert alone == "Too few groups are large enough to be compared."
    assert "rank correlation 0.31 [0.25, 0.37]" in first.outliers


def test_the_page_shows_memberships_from_the_file_alone(run: Result) -> None:
    page = html.render(Result.from_json(json.loads(json_file.render(run))))
    order = [
        page.index(text)
        for text in ("Who was in the data", "finds 23 [20, 26]", "4711", "By sex", "Privacy budget")
    ]
    assert order == sorted(order)
    assert "withheld: 50 non-members, 1,000 needed" in page
    assert page.count("<details>") == 1  # of the job's other attack
    assert "<script" not in page
    assert page.count('class="bar"') == 4


def test_each_job_is_said_once_in_plain_words(result: Result) -> None:
    assert markdown.render(result).count("In plain words") == 1
    assert HOSTILE not in markdown.render(result)


def test_a_bar_lies_to_scale() -> None:
    group = Group(name="a", members=30, others=30, auc=0.75, auc_ci=(0.5, 1.0))
    bar = group_bar(group)
    assert bar.low == bar.half == BAR / 2
    assert bar.value == (bar.low + bar.high) / 2

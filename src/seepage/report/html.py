"""HTML: one self-contained page, verdict first, for a person to read or print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError
from ..core.registry import cards
from ..core.results import LEAK, Result
from . import budget, digest, plan_facts, words
from .curve_figure import HEIGHT as CURVE_HEIGHT
from .curve_figure import MOST as CURVES
from .curve_figure import WIDTH as CURVE_WIDTH
from .curve_figure import beside_guarantees
from .exposed import SHOWN, exposed, group_bar
from .guarantees import tested
from .interval_figure import WIDTH, interval_figure
from .pages import environment
from .pictures import GALLERIES, galleries
from .protocols import MEASURED
from .sum_in_force import sum_in_force
from .utility import utility_rows

if TYPE_CHECKING:
    from ..core.cards import AttackCard


def render(result: Result) -> str:
    """Return the page; text from the result can't inject markup."""
    findings = digest.ranked(result.findings)
    drawn = galleries(result)
    told = exposed(findings)
    curves = beside_guarantees(findings)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            word=digest.VERDICTS[result.verdict][0],
            plain=digest.VERDICTS[result.verdict][1],
            worst=next((f for f in findings if digest.counts(f) and f.verdict == LEAK), None),
            tally=digest.tally(result),
            cautions=digest.cautions(result),
            gated=[f for f in findings if f.gated],
            ungated=[f for f in findings if not f.gated],
            tolerance=digest.tolerance(result),
            galleries=drawn[:GALLERIES],
            profiles=any(g.rows and next(iter(g.rows.values()))[0].profile for g in drawn),
            more_galleries=max(len(drawn) - GALLERIES, 0),
            curves=curves[:CURVES],
            more_curves=max(len(curves) - CURVES, 0),
            curve_width=CURVE_WIDTH,
            curve_height=CURVE_HEIGHT,
            exposed=told[:SHOWN],
            more_exposed=max(len(told) - SHOWN, 0),
            group_bar=group_bar,
            facts=plan_facts.job_facts(result),
            summed=sum_in_force(result),
            measured=MEASURED,
            utility=utility_rows(result.utility),
            cost=plan_facts.cost_rows(result.cost),
            attacks=_attacks(result),
            figure_width=WIDTH,
            interval_figure=interval_figure,
            METRICS=words.METRICS,
            ceilings=budget.ceilings,
            BAYESIAN=budget.BAYESIAN,
            tested=tested,
        )
    )


def _attacks(result: Result) -> list[AttackCard]:
    """Return the cards of the attacks in a result, as far as they are installed here."""
    try:
        known: Mapping[str, Any] = cards("attacks")
    except (ImportError, UsageError):
        return []
    names = sorted({f.attack for f in result.findings} | {n.attack for n in result.not_run})
    return [known[name] for name in names if name in known]

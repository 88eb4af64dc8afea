"""Markdown: a short table for a pull request."""

from __future__ import annotations

import re

from ..core.results import Finding, Result
from .budget import remarks
from .digest import VERDICTS, cautions, counts, ranked
from .exposed import sentences
from .guarantees import tested
from .protocols import MEASURED, ProtocolRow
from .sum_in_force import sum_in_force
from .utility import utility_rows
from .words import epsilon, figure, limits, metric, printable

ROWS = 40
"""Rows of a table at most: a comment on a code host holds 65,536 characters."""


def render(result: Result) -> str:
    """Return the verdict, the gated findings, what did not run, and the line that replays it."""
    gated = [f for f in ranked(result.findings) if f.gated]
    rest = len(result.findings) - len(gated)
    lines = [
        f"## Privacy audit: {VERDICTS[result.verdict][0].lower()}",
        "",
        f"**{text(result.plan.get('name', 'audit'))}**: {text(result.reason)}",
        "",
        *_table(gated),
    ]
    if rest:
        lines += [f"Measured, but not counted: {rest} more.", ""]
    for caution in cautions(result):
        items = "; ".join(text(i) for i in caution.items[:3])
        more = f"; and {len(caution.items) - 3} more" if len(caution.items) > 3 else ""
        lines.append(f"- **{caution.title}**: {items}{more}")
    for record in result.privacy:
        job = f" ({text(record.task)})" if record.task else ""
        lines.append(
            f"- **Budget**{job}: ε {epsilon(record.total_epsilon)} in total over "
            f"{record.releases} releases (ε {epsilon(record.per_release_epsilon)} each), "
            f"δ {record.delta:g}, per {record.unit}, {record.adjacency}, against "
            f"{text(record.observer)}: {text(record.mechanism)}"
            + "".join(f"; {text(remark)}" for remark in remarks(record))
        )
    lines += [f"- **Guarantee** ({text(t.task)}): {text(tested(t))}" for t in result.guarantees]
    lines += [f"- **In plain words**: {text(said)}" for said in sentences(ranked(result.findings))]
    for what, before, after in utility_rows(result.utility):
        scores = f"undefended {before or '-'}, defended {after or '-'}"
        lines.append(f"- **Utility**, {text(what)}: {text(scores)}")
    if summed := sum_in_force(result):
        lines += [f"- **Secure sum**: {text(summed.told)}", "", *_protocols(summed.rows)]
    if result.not_run:
        lines += ["", "Did not run:", ""]
        lines += [
            f"- {code(n.attack)} by {text(n.observer)} on {code(n.task)} ({text(n.moment)}): "
            f"{text(n.reason)}{'' if n.gated else ' (does not count)'}"
            for n in result.not_run[:ROWS]
        ]
        if len(result.not_run) > ROWS:
            lines.append(f"- and {len(result.not_run) - ROWS} more")
    lines += ["", f"Replay: {code(result.replay)}", ""]
    return "\n".join(lines)


def _table(findings: list[Finding]) -> list[str]:
    if not findings:
        return ["Nothing was measured that the gate counts.", ""]
    lines = [
        "| verdict | attack | where | metric | measured | null | prior | control | gain |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for f in findings[:ROWS]:
        control = "none" if f.control.kind == "none" else figure(f.control.value)
        cells = (
            f"**{f.verdict}**" + ("" if counts(f) else " (accepted)"),
            code(f.attack),
            f"{code(f.task)} {text(f.observer)}, {text(f.moment)}",
            text(metric(f.metric)),
            f"{figure(f.value)} {limits(f.ci)}",
            figure(f.null),
            figure(f.prior),
            control + ("" if f.control.leaked or control == "none" else " (no leak)"),
            f"{figure(f.gain)} {limits(f.gain_ci)}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    if len(findings) > ROWS:
        lines.append(f"\n{len(findings) - ROWS} more in `result.json`.")
    return [*lines, ""]


def _protocols(rows: list[ProtocolRow]) -> list[str]:
    lines = [
        "| protocol | security | must be true | may collude | leaks beside the sum | rounds "
        "| client, ms | server, ms | dealer, ms | bytes |",
        "|---|---|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        promises = (r.security, r.trust, r.tolerates, r.leaks)
        figures = (r.rounds, r.client, r.server, r.dealer, r.size)
        name = f"**{text(r.name)}** (in force)" if r.in_force else text(r.name)
        lines.append("| " + " | ".join((name, *map(text, (*promises, *figures)))) + " |")
    return [*lines, "", MEASURED]


def text(value: object) -> str:
    r"""Return text that Markdown shows as it is, on one line, and that mentions nobody.

    >>> text("a|b <img> @you")
    'a\\|b &lt;img> @\u200byou'
    """
    flat = " ".join(printable(value).split())
    escaped = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;"))
    return escaped.replace("@", "@\u200b")


def code(value: object) -> str:
    r"""Return a code span that a table cell can hold.

    >>> code("a`b|c")
    "`a'b\\|c`"
    """
    flat = " ".join(printable(value).split()).replace("`", "'")
    return "`" + flat.replace("|", "\\|") + "`"

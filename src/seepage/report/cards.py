"""The report formats: what each is for, its suffix, and where its renderer lies."""

from __future__ import annotations

from ..core.cards import Card, Parameter


def _format(name: str, suffix: str, module: str, summary: str, reference: str = "") -> Card:
    return Card(
        name=name,
        summary=summary,
        implementation=f"seepage.report.{module}:render",
        reference=reference,
        parameters=(
            Parameter(name="suffix", default=suffix, summary="File suffix that chooses it."),
        ),
    )


CARDS: tuple[Card, ...] = (
    _format(
        "json",
        ".json",
        "json_file",
        "Everything the audit found, from which all other formats derive.",
        "seepage.result/1 (seepage/report/schema.json)",
    ),
    _format("html", ".html", "html", "One self-contained page for a person to read or print."),
    _format(
        "junit",
        ".xml",
        "junit",
        "A test case per finding, for continuous integration.",
        "https://github.com/testmoapp/junitxml",
    ),
    _format(
        "sarif",
        ".sarif",
        "sarif",
        "Findings as code-scanning alerts at the plan's lines.",
        "OASIS SARIF 2.1.0",
    ),
    _format("md", ".md", "markdown", "A short table for a pull request."),
    _format("pdf", ".pdf", "pdf", "The page as a document to hand on; needs the extra `pdf`."),
)

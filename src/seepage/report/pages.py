"""The templates of the HTML pages, and the filters that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import plan_facts, words

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Return an environment that escapes all text and refuses unknown names."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("seepage.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(
        figure=words.figure,
        limits=words.limits,
        metric=words.metric,
        percent=words.percent,
        epsilon=words.epsilon,
        duration=words.duration,
        sentence=words.sentence,
        details=plan_facts.measured_details,
    )
    return environment


def _printable(value: Any) -> Any:
    # Markup is a subclass of str that is escaped already; only plain text is cleaned.
    return words.printable(value) if type(value) is str else value

"""PDF: the page as a document to hand on; the extra `pdf` brings typst, which sets it.

Importing this module without typst raises `MissingExtraError`.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from ..core.errors import MissingExtraError
from ..core.results import Result
from .document import document
from .words import printable

try:
    import typst  # the extra `pdf`
except ImportError as error:  # at once: nobody should wait for an audit to hear of it
    raise MissingExtraError("a report as PDF", "pdf") from error


def render(result: Result) -> bytes:
    """Return the PDF.

    The template gets the report as data, so no text of it is ever read as typst's markup. Nothing
    is loaded: typst brings its fonts, and those of the system step in for other scripts.
    """
    template = files(__package__ or "").joinpath("templates/report.typ").read_bytes()
    content = json.dumps(_clean(document(result)))
    made: Any = typst.compile(template, format="pdf", sys_inputs={"report": content})
    return bytes(made)


def _clean(value: Any) -> Any:
    """Return plain types whose texts hold no control characters."""
    if isinstance(value, dict):
        return {key: _clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return printable(value) if isinstance(value, str) else value

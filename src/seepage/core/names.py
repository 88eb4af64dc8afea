"""The nearest known name to one that was mistyped."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or the list of known names where none is near.

    >>> nearest("roudns", ["rounds", "lr"])
    "; did you mean 'rounds'?"
    >>> nearest("zzz", ["rounds", "lr"])
    '; known: lr, rounds'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""

"""Finds the line of each key in a TOML file, which the standard parser does not tell.

Keys are paths: `("tasks", 0, "data", "source")`. The scanner knows as much TOML as is
needed to place tables and keys; the standard parser has already said that it is valid.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def key_lines(text: str) -> dict[Path, int]:
    r"""Return the 1-based line of every table and key in a valid TOML text.

    >>> key_lines("a = 1\n[[t]]\nb.c = 2")
    {('a',): 1, ('t', 0): 2, ('t', 0, 'b', 'c'): 3}
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not depth and not quote:
            if header := _HEADER.match(line):
                table = _table(_parts(header[2]), header[1] == "[[", counts)
                lines.setdefault(table, number)
                continue
            if key := _KEY.match(line):
                lines.setdefault((*table, *_parts(key[1])), number)
                for inline in re.finditer(r"[{,]\s*([\w-]+)\s*=", line[key.end() :]):
                    lines.setdefault((*table, *_parts(key[1]), inline[1]), number)
        depth, quote = _scan(line, depth, quote)
    return lines


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _table(name: Path, many: bool, counts: dict[Path, int]) -> Path:
    """Return the table's path with the index of each array of tables that it stands in."""
    path: Path = ()
    for i, part in enumerate(name):
        path = (*path, part)
        if many and i == len(name) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _scan(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Follow brackets and multi-line strings to the end of a line."""
    i = 0
    while i < len(line):
        if quote:
            end = line.find(quote, i)
            if end < 0:
                return depth, quote if len(quote) == 3 else ""
            i, quote = end + len(quote), ""
        elif line[i] == "#":
            break
        elif line[i] in "\"'":
            quote = line[i] * 3 if line.startswith(line[i] * 3, i) else line[i]
            i += len(quote)
        else:
            depth += (line[i] in "[{") - (line[i] in "]}")
            i += 1
    return depth, quote if len(quote) == 3 else ""

"""The page's figures as SVG files of their own, for what is no page: colors and letters inside."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from .curve_figure import HEIGHT, WIDTH, CurveFigure
from .interval_figure import WIDTH as PLOT_WIDTH
from .pages import environment

if TYPE_CHECKING:
    from .exposed import Bar
    from .interval_figure import IntervalFigure
    from .pictures import Gallery

TONES = {"leak": "leak", "inconclusive": "open", "clear": "clear", "pass": "clear"}
"""Verdict -> the color of the page's style sheet that it is drawn in."""

LABEL, STEP, GAP = 78.0, 62.0, 6.0


def curve_image(figure: CurveFigure) -> str:
    """Return the SVG of a curve."""
    drawn = _macro("curves.html.j2", "curve_svg", figure, WIDTH, HEIGHT)
    return standalone(drawn, "curve", figure.finding.verdict)


def interval_image(figure: IntervalFigure, verdict: str) -> str:
    """Return the SVG of a finding's measurement beside null, prior, control and bound."""
    return standalone(_macro("interval.html.j2", "plot", figure, PLOT_WIDTH), "plot", verdict)


def bar_image(bar: Bar, verdict: str) -> str:
    """Return the SVG of a group's AUC."""
    return standalone(_macro("exposed.html.j2", "bar_svg", bar), "bar", verdict)


def legend_images() -> list[tuple[str, str]]:
    """Return (SVG, meaning) of the marks beside a finding's measurement."""
    drawn = _macro("interval.html.j2", "legend")
    marks = re.findall(r"(<svg.*?</svg>)(.*?)</li>", drawn, flags=re.S)
    return [(standalone(svg, "plot", "inconclusive"), meaning) for svg, meaning in marks]


def gallery_image(gallery: Gallery) -> str:
    """Return the SVG of the pictures of a finding, a row each of truth and reconstructions."""
    profile = any(cell.profile for cells in gallery.rows.values() for cell in cells)
    high = 0.4 * STEP if profile else STEP
    parts: list[str] = []
    for i, (name, cells) in enumerate(gallery.rows.items()):
        y = i * (high + GAP)
        parts.append(f'<text x="0" y="{y + high / 2 + 3:g}">{name}</text>')
        for j, cell in enumerate(cells):
            x = LABEL + j * (STEP + GAP)
            if cell.uri:
                parts.append(
                    f'<image x="{x:g}" y="{y:g}" width="{STEP:g}" height="{high:g}" '
                    f'image-rendering="pixelated" href="{cell.uri}"/>'
                )
                continue
            area = f'<path class="area" d="{cell.truth}V38H0z"/>' if cell.truth else ""
            parts.append(
                f'<g transform="translate({x:g} {y:g}) scale({STEP / 100:g} {high / 40:g})">{area}'
                f'<path class="stairs" d="{cell.profile}"/></g>'
            )
    wide = LABEL + gallery.columns * (STEP + GAP)
    tall = len(gallery.rows) * (high + GAP)
    svg = f'<svg viewBox="0 0 {wide:g} {tall:g}">{"".join(parts)}</svg>'
    return standalone(svg, "strip", gallery.finding.verdict)


def _macro(template: str, name: str, *arguments: object) -> str:
    """Return what a macro of the page's templates draws."""
    return str(getattr(environment().get_template(template).module, name)(*arguments))


def standalone(drawn: str, kind: str, verdict: str) -> str:
    """Return a drawing of the page as an SVG file that needs no style sheet.

    `kind` is the class that the page's rules know it by.
    """
    start, inner = re.split(r"(?<=>)", drawn.strip(), maxsplit=1)
    box = re.search(r'viewBox="([^"]*)"', start)
    if box is None:
        raise ValueError(f"no drawing: {start[:60]}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}">'
        f"<style>{_style(verdict)}</style>"
        f'<g class="{kind}">{inner.removesuffix("</svg>")}</g></svg>'
    )


@cache
def _style(verdict: str) -> str:
    """Return the rules of figures with the page's light colors in place of their names."""
    templates = files(__package__ or "").joinpath("templates")
    scheme = re.search(
        r":root \{(.*?)\}", templates.joinpath("report.css").read_text("utf-8"), re.S
    )
    colors = dict(re.findall(r"--([\w-]+): (#\w+)", scheme[1] if scheme else ""))
    colors["tone"] = colors[TONES[verdict]]
    rules = templates.joinpath("figures.css").read_text("utf-8")
    rules = re.sub(r"var\(--([\w-]+)(?:, var\([^)]*\))?\)", lambda m: colors[m[1]], rules)
    return rules.replace("system-ui", '"Libertinus Serif"')

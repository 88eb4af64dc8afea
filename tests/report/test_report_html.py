"""The page is one file, says the worst first, and shows hostile text as text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

from seepage.core.results import Result
from seepage.report import html

VOID = {"meta", "img", "br", "hr"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order; keeps what tests look at."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_html_is_one_balanced_file_that_loads_nothing(run: Result) -> None:
    page = html.render(run)
    seen = parse(page).seen
    assert not [t for t, _ in seen if t in {"script", "link", "iframe", "base", "b-hostile"}]
    for _, attributes in seen:
        assert not [a for a in attributes if a.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:image/png").startswith("data:image/png")
    assert "url(" not in page
    assert "@import" not in page


def test_html_shows_hostile_text_as_text(run: Result) -> None:
    page = html.render(run)
    assert "<script" not in page
    assert "clinic <b>" not in page
    assert "\x1b" not in page
    assert "<script>alert(1)</script>\"'&|`[x](y)[31m@all" in "".join(parse(page).text)


def test_html_says_what_matters_before_the_table(run: Result) -> None:
    page = html.render(run)
    order = [
        page.index(text)
        for text in (
            '<p class="word">Leak</p>',
            "Measured above its bound",
            "Positive control did not leak",
            "Findings that count",
            "What the attacks recovered",
            "Privacy budget",
            "ε 73.6",
            "Utility and cost",
            "What did not run",
            "singular",
            "How to repeat it",
            "How to read this",
        )
    ]
    assert order == sorted(order)
    assert "ε 1.5 per release" in page
    assert "ε unbounded" in page
    assert "99.96 %" in page
    assert page.count('class="findings"') == 2


def test_html_of_a_bare_result(result: Result) -> None:
    bare = replace(
        result,
        verdict="inconclusive",
        reason="nothing was measured that the gate counts",
        plan={},
        source="",
        findings=(),
        privacy=(),
        not_run=(),
        utility={},
        cost={},
        versions={},
    )
    page = html.render(bare)
    parse(page)
    assert "Nothing was measured that the gate counts" in page
    assert "no epsilon to report" in page


def test_html_colors_are_readable_on_their_ground() -> None:
    css = resources.files("seepage.report").joinpath("templates/report.css").read_text()
    schemes = re.findall(r":root \{(.*?)\}", css, flags=re.S)
    assert len(schemes) == 3
    for scheme in schemes:
        color = dict(re.findall(r"--([\w-]+): (#\w{6})", scheme))
        for ink, grounds in {
            "ink": ("paper", "panel", "leak-wash", "open-wash", "clear-wash"),
            "soft": ("paper", "panel", "leak-wash", "open-wash", "clear-wash"),
            "leak": ("paper", "leak-wash"),
            "open": ("paper", "open-wash"),
            "clear": ("paper", "clear-wash"),
        }.items():
            for ground in grounds:
                assert contrast(color[ink], color[ground]) >= 4.5, (ink, ground)


def contrast(a: str, b: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)

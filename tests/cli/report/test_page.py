"""The page: figures as people read them, and texts of others that stay texts."""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from darkroom.cli.report import page
from darkroom.cli.report.charts import Line, line_chart, nice_ticks, scatter_chart
from darkroom.cli.report.page import Cell, Finding, Page, Section, Tile
from darkroom.images.sheets import RIGHT

HOSTILE = '<script>alert("&")</script>'


def test_a_page_escapes_what_comes_from_files() -> None:
    table = page.table(HOSTILE, (HOSTILE, "b"), [(HOSTILE, Cell(HOSTILE, badge=HOSTILE))])
    chart = line_chart(
        [Line(HOSTILE, np.array([0.0, 1]), np.array([0.0, 1]), RIGHT)] * 2,
        title=HOSTILE,
        x_label=HOSTILE,
        mark=(0.5, HOSTILE),
    )
    shown = page.picture(np.zeros((4, 4, 3), np.uint8), HOSTILE, HOSTILE, id="p")
    blocks = [table, page.figure(chart, HOSTILE), shown, page.article(HOSTILE, [table])]
    findings = [Finding("bad", HOSTILE, "a")]
    section = Section("a", HOSTILE, HOSTILE, blocks, findings)
    text = page.render(Page(HOSTILE, HOSTILE, [Tile(HOSTILE, HOSTILE, HOSTILE)], [section]))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 15


def test_findings_stand_by_their_weight() -> None:
    findings = [Finding(kind, f"it is {kind}", "a") for kind in ("note", "good", "bad")]
    text = page.render(Page("t", "", (), [Section("a", "A", findings=findings)]))
    places = [text.index(f"it is {kind}") for kind in ("bad", "good", "note")]
    assert places == sorted(places)


def test_a_picture_is_in_the_page() -> None:
    pixels = np.full((20, 30, 3), (200, 40, 90), np.uint8)
    block = page.picture(pixels, "a red patch")
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', block)
    assert data is not None
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(data[1]))))
    assert np.abs(shown.astype(int) - pixels).max() < 8
    assert 'width="30" height="20" alt="a red patch"' in block


@pytest.mark.parametrize(
    ("text", "is_number"),
    [("0.8955", True), ("−0.5", True), ("+12 %", True), ("–", True), ("1,200", True),
     ("3.00e-05", True), ("30 cats", False), ("", False), ("-", False)],
)  # fmt: skip
def test_numbers_stand_at_the_right(text: str, is_number: bool) -> None:
    block = page.table("t", ("a", "b"), [("row", text)])
    assert ('<td class="number">' in block) == is_number


def test_the_first_cell_of_a_row_is_its_header() -> None:
    block = page.table("Ages", ("name", "age", ""), [("Ann", "31", "x")])
    assert "<caption>Ages</caption>" in block
    assert '<th scope="row">Ann</th>' in block
    assert '<th scope="col" class="">name</th>' in block
    assert '<th scope="col" class="number">age</th>' in block
    assert block.count('scope="col"') == 2  # a header without a word is none


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.031, 0.97), (-5, 1200), (1e-7, 3e-7)])
def test_ticks_are_round_and_reach_both_ends(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    steps = np.diff(ticks)
    assert ticks[0] <= low < ticks[1]
    assert ticks[-2] < high <= ticks[-1]
    assert 4 <= len(ticks) <= 8
    assert np.allclose(steps, steps[0])


def test_a_line_is_where_its_values_are() -> None:
    xs, ys = np.array([0.0, 0.5, 1]), np.array([0, 1, np.nan])
    chart = line_chart(
        [Line("f1", xs, ys, RIGHT)], title="t", x_label="x", x_range=(0, 1), y_range=(0, 1)
    )
    assert 'd="M64.0 304.0 L344.0 58.0"' in chart  # the left end below, the middle above
    assert "f1 goes from 0.0000 to 1.0000" in chart  # for screen readers
    assert chart.count("<circle") == 2


def test_a_line_is_broken_where_a_value_is_missing() -> None:
    ys = np.array([0, 1, np.nan, 1, 0])
    chart = line_chart([Line("a", np.arange(5.0), ys, RIGHT)], title="", x_label="x")
    path = re.search(r' d="([^"]+)"', chart)
    assert path is not None
    assert re.findall("[ML]", path[1]) == ["M", "L", "M", "L"]


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.7, 0.7], [0.0, 0.0], [1e9, 1e9]])
def test_a_chart_of_values_without_a_range(values: list[float]) -> None:
    chart = line_chart([Line("a", np.arange(2.0), np.array(values), RIGHT)], title="", x_label="x")
    assert "nan" not in chart


def test_a_scatter_has_some_of_very_many_points() -> None:
    values = np.linspace(0, 1, 10_000)
    chart = scatter_chart(values, values, title="t", x_label="is", y_label="answer")
    assert 1000 < chart.count("<circle") <= 1500
    assert "10000 points" in chart


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, "#rrggbb", by WCAG 2.2: 1 to 21."""
    shares = [[int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)] for text in (one, other)]
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in s] for s in shares
    ]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


def test_all_text_can_be_read() -> None:
    """WCAG AA asks for 4.5 of text."""
    text = page.render(Page("t", "", (), []))
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", text.split("@media print")[0]))
    grounds = [colours[name] for name in ("paper", "card")]
    rules = re.findall(
        r"(?<![-\w])color: (#[0-9a-f]{6}|var\(--\w+\))", text.split("@media print")[0]
    )
    inks = {colours[rule[6:-1]] if rule.startswith("var") else rule for rule in rules}
    assert len(inks) > 5
    weak = {(ink, on) for ink in inks for on in grounds if contrast(ink, on) < 4.5}
    assert weak == {(colours["paper"], on) for on in grounds}  # the skip link, on ink
    tints = re.findall(r"--tint: (#[0-9a-f]{6})", text.split("@media print")[0])
    assert len(tints) == 2
    assert min(contrast(colours["ink"], tint) for tint in tints) > 4.5

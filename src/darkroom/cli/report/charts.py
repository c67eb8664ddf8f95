"""Charts as SVG in the page: lines, and points. Each says in words what it shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from darkroom.cli.report.page import css, number
from darkroom.images.sheets import ACCENT, FAINT, INK, MISSED, RIGHT, Colour

WIDTH, HEIGHT = 640, 352
LEFT, RIGHT_EDGE, TOP, BOTTOM = 64, 624, 58, 304
GRID = (58, 60, 68)
TICKS = 5
FEW = 80  # points of a line that get a dot, with their values in a tooltip
MOST_POINTS = 1500  # of a scatter
LINE_COLOURS: tuple[Colour, ...] = (RIGHT, (142, 197, 255), MISSED, (236, 90, 170), (160, 120, 255))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: In the legend.
        xs: float64 (n,), finite.
        ys: float64 (n,); NaN where there is no point.
        colour: Its colour.
        dashed: Whether it is dashed, as training is.
    """

    name: str
    xs: Floats
    ys: Floats
    colour: Colour
    dashed: bool = False


@dataclass(frozen=True)
class _Axis:
    """A scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def place(self, values: Any) -> Any:
        return self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [t for t in nice_ticks(self.low, self.high) if self.low <= t <= self.high]


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Return a chart of lines.

    Args:
        lines: At least one.
        title: Above it.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis, written above it.
        x_range: The ends of the axis; None: those of the values.
        y_range: Likewise.
        diagonal: Whether to draw the line of equal values.
        mark: A vertical line at a value, with its name.
    """
    x_axis = _Axis(*(x_range or _range([line.xs for line in lines])), LEFT, RIGHT_EDGE)
    y_axis = _Axis(*(y_range or _range([line.ys for line in lines])), BOTTOM, TOP)
    parts = [_frame(x_axis, y_axis, x_label, y_label)]
    if diagonal:
        ends = max(x_axis.low, y_axis.low), min(x_axis.high, y_axis.high)
        (x1, x2), (y1, y2) = map(x_axis.place, ends), map(y_axis.place, ends)
        parts.append(_segment(x1, y1, x2, y2, FAINT, dash="2 5"))
    if mark is not None:
        x = x_axis.place(mark[0])
        side = "end" if x > (LEFT + RIGHT_EDGE) / 2 else "start"
        parts.append(_segment(x, TOP, x, BOTTOM, ACCENT, width=2))
        shift = -7 if side == "end" else 7
        parts.append(_text(x + shift, BOTTOM - 9, mark[1], anchor=side, colour=INK))
    parts += [_drawn(line, x_axis, y_axis) for line in lines]
    return _svg(title, _in_words(lines, x_label), parts) + _key(lines)


def scatter_chart(xs: Floats, ys: Floats, *, title: str, x_label: str, y_label: str) -> Markup:
    """Return points (n,) and the line of equal values; of very many points some, evenly spaced."""
    step = -(-len(xs) // MOST_POINTS)
    x_axis = y_axis = _Axis(*_range([xs, ys]), LEFT, RIGHT_EDGE)
    y_axis = _Axis(y_axis.low, y_axis.high, BOTTOM, TOP)
    dot = '<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}" fill-opacity=".55"/>'
    points = zip(x_axis.place(xs[::step]), y_axis.place(ys[::step]), strict=True)
    dots = [Markup(dot.format(x, y, css(RIGHT))) for x, y in points]
    line = _segment(LEFT, BOTTOM, RIGHT_EDGE, TOP, FAINT, dash="2 5")
    words = (
        f"{len(xs)} points; {y_label} from {number(float(ys.min()))} to {number(float(ys.max()))}"
    )
    return _svg(title, words, [_frame(x_axis, y_axis, x_label, y_label), line, *dots])


def nice_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return round numbers that reach from below `low` to above `high`.

    Example:
        >>> nice_ticks(0.03, 0.97)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= raw * 0.999)
    digits = max(0, 1 - math.floor(math.log10(step)))
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, digits) for place in range(first, last + 1)]


def _range(values: Sequence[Floats]) -> tuple[float, float]:
    """Return round ends of an axis that holds all values."""
    every_value = np.concatenate(values)
    finite = every_value[np.isfinite(every_value)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        pad = max(0.5, abs(high) / 2) if len(finite) else 0.0
        low, high = low - pad, high + pad
    ticks = nice_ticks(low, high)
    return ticks[0], ticks[-1]


def _frame(x_axis: _Axis, y_axis: _Axis, x_label: str, y_label: str) -> Markup:
    parts = []
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(_segment(LEFT, y, RIGHT_EDGE, y, GRID))
        parts.append(_text(LEFT - 9, y + 4.5, f"{value:g}", anchor="end"))
    for value in x_axis.ticks():
        parts.append(_text(x_axis.place(value), BOTTOM + 20, f"{value:g}", anchor="middle"))
    parts.append(_text((LEFT + RIGHT_EDGE) / 2, BOTTOM + 41, x_label, anchor="middle"))
    parts.append(_text(LEFT, TOP - 13, y_label))
    return Markup("").join(parts)


def _drawn(line: Line, x_axis: _Axis, y_axis: _Axis) -> Markup:
    """Return a line, broken where there is no point."""
    is_there = np.isfinite(line.ys)
    steps, in_line = [], False
    for x, y, there in zip(line.xs, line.ys, is_there, strict=True):
        if there:
            letter = "L" if in_line else "M"
            steps.append(f"{letter}{x_axis.place(x):.1f} {y_axis.place(y):.1f}")
        in_line = bool(there)
    dash = Markup(' stroke-dasharray="5 4"') if line.dashed else Markup()
    path = Markup(
        '<path d="{}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round"{}/>'
    )
    elements = path.format(" ".join(steps), css(line.colour), dash)
    if is_there.sum() > FEW:
        return elements
    dot = Markup('<circle cx="{}" cy="{}" r="{}" fill="{}"><title>{}</title></circle>')
    for x, y in zip(line.xs[is_there], line.ys[is_there], strict=True):
        words = f"{line.name}, {number(float(x), 3).rstrip('0').rstrip('.')}: {number(float(y))}"
        place = f"{x_axis.place(x):.1f}", f"{y_axis.place(y):.1f}"
        elements += dot.format(*place, 2 if line.dashed else 3, css(line.colour), words)
    return elements


def _in_words(lines: Sequence[Line], x_label: str) -> str:
    """Return what screen readers say of lines: where each begins and ends."""
    words = []
    for line in lines:
        ys = line.ys[np.isfinite(line.ys)]
        if len(ys):
            first, last = number(float(ys[0])), number(float(ys[-1]))
            words.append(f"{line.name} goes from {first} to {last}")
    return f"By {x_label}: {'; '.join(words)}."


def _svg(title: str, words: str, parts: Sequence[Markup]) -> Markup:
    whole = Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}. {}" font-size="13">{}{}</svg>'
    )
    heading = _text(LEFT, 16, title, colour=INK, size=15) if title else Markup()
    return whole.format(WIDTH, HEIGHT, title, words, heading, Markup("").join(parts))


def _key(lines: Sequence[Line]) -> Markup:
    """Return the legend; of a single line nothing."""
    if len(lines) < 2:
        return Markup()
    item = Markup(
        '<li><svg viewBox="0 0 26 8" aria-hidden="true" style="display:inline;width:26px">'
        '<path d="M0 4H26" stroke="{}" stroke-width="3"{}/></svg> {}</li>'
    )
    dash = Markup(' stroke-dasharray="5 4"')
    items = [item.format(css(e.colour), dash if e.dashed else "", e.name) for e in lines]
    return Markup('<ul class="key" aria-hidden="true">{}</ul>').format(Markup("").join(items))


def _segment(
    x1: float, y1: float, x2: float, y2: float, colour: Colour, *, dash: str = "", width: int = 1
) -> Markup:
    line = Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="{}"'
    ).format(x1, y1, x2, y2, css(colour), width)
    return line + (Markup(' stroke-dasharray="{}"/>').format(dash) if dash else Markup("/>"))


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    colour: Colour = FAINT,
    size: int | None = None,
) -> Markup:
    text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="{}"{}>{}</text>')
    bigger = Markup(' font-size="{}"').format(size) if size else Markup()
    return text.format(x, y, anchor, css(colour), bigger, words)

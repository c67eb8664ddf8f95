"""A scatter plot of local against leaderboard scores, one number a submission."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from darkroom.images.sheets import ACCENT, EXCESS, FAINT, INK, MISSED, PAPER, RIGHT, Colour

WIDTH_INCHES, SIDE_INCHES, DPI = 7.2, 6.0, 130
HEAD_INCHES, LINE_INCHES, FOOT_INCHES = 0.95, 0.23, 0.6
MARGIN = 0.12  # of the window, around the points
NEAR = 2.0  # the diagonal is shown up to this many widths of the points away
MIN_SPAN = 1e-3  # of the window, of the size of the scores: for a single point
RADII_PX, TURNS = (20.0, 30.0, 42.0), 16  # places for the number around a point
FIRST_TURN = {"public": 1 / 8, "private": -1 / 8}  # up and right, and down and right
CLEARANCE_PX = 20.0  # from a number to the next number or point

Place = tuple[float, float]  # pixels


@dataclass(frozen=True)
class Point:
    """A submission's number in the table, its local score, and one of its leaderboard scores."""

    number: int
    local: float
    score: float
    series: Literal["public", "private"]


_SERIES = {"public": RIGHT, "private": MISSED}


def draw_scatter(
    points: Sequence[Point], *, title: str, metric: str, text: Sequence[tuple[str, str]]
) -> bytes:
    """Return a PNG of the scores on both leaderboards, and the line of equal scores.

    The axes have one scale. The window holds all points, and the line unless it lies far from them.

    Args:
        points: At least one.
        title: The heading.
        metric: What the local score is called.
        text: Lines below the heading: the leaderboard that each is about, and its words.
    """
    head = HEAD_INCHES + LINE_INCHES * len(text)
    height = head + SIDE_INCHES + FOOT_INCHES
    figure = Figure((WIDTH_INCHES, height), dpi=DPI, facecolor=_rgb(PAPER))
    _head(figure, height, title, text)
    left, width = (1 - SIDE_INCHES / WIDTH_INCHES) * 0.75, SIDE_INCHES / WIDTH_INCHES
    axes = figure.add_axes(
        (left, FOOT_INCHES / height, width, SIDE_INCHES / height), facecolor=_rgb(PAPER)
    )
    _frame(axes, points, metric)
    _stems(axes, points)
    for point in points:
        colour = _rgb(_SERIES[point.series])
        face = colour if point.series == "public" else "none"
        axes.plot(
            point.local,
            point.score,
            "o",
            markersize=7,
            color=colour,
            markerfacecolor=face,
            zorder=3,
        )
    _label(axes, points)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def _head(figure: Figure, height: float, title: str, text: Sequence[tuple[str, str]]) -> None:
    """Write the title and the lines below it, in a figure of a height in inches."""
    bar = figure.add_axes((0, 1 - 0.06 / height, 1, 0.06 / height), facecolor=_rgb(ACCENT))
    bar.set(xticks=[], yticks=[])
    bar.spines[:].set_visible(False)
    figure.text(0.03, 1 - 0.45 / height, title, size=15, color=_rgb(INK), parse_math=False)
    for row, (series, words) in enumerate(text):
        y = 1 - (0.75 + LINE_INCHES * row) / height
        figure.text(0.03, y, "●" if series == "public" else "○", color=_rgb(_SERIES[series]))
        figure.text(0.06, y, words, size=9.5, color=_rgb(FAINT), parse_math=False)


def _frame(axes: Any, points: Sequence[Point], metric: str) -> None:
    """Set the window, the axes and the line of equal scores."""
    (left, right), (low, high) = _window(
        [point.local for point in points], [point.score for point in points]
    )
    axes.set(xlim=(left, right), ylim=(low, high))
    start, end = max(left, low), min(right, high)
    if start < end:
        axes.plot([start, end], [start, end], "--", color=_rgb(FAINT), linewidth=1, zorder=1)
        at = start + 0.04 * (right - left)
        gap = sum(point.score - point.local for point in points)
        side = 1 if gap < 0 else -1  # where fewer points are
        axes.annotate(
            "leaderboard = local",
            (at, at),
            (-4 * side, 4 * side),
            textcoords="offset points",
            rotation=45,
            rotation_mode="anchor",
            va="bottom" if side > 0 else "top",
            size=8.5,
            color=_rgb(FAINT),
        )
    else:
        where = "above" if left > high else "below"
        axes.set_title(f"equal scores lie far {where} this window", size=9, color=_rgb(EXCESS))
    axes.set_xlabel(f"local {metric}, on the validation images", color=_rgb(INK), parse_math=False)
    axes.set_ylabel("leaderboard", color=_rgb(INK))
    axes.tick_params(colors=_rgb(FAINT), labelsize=8.5)
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(color=_rgb(FAINT), alpha=0.13)
    axes.spines[:].set_color((*_rgb(FAINT), 0.4))


def _window(
    xs: Sequence[float], ys: Sequence[float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of both axes: of equal length, and equal unless that is much longer."""
    least = MIN_SPAN * max(1e-9, *map(abs, (*xs, *ys)))
    span = max(max(xs) - min(xs), max(ys) - min(ys), least)
    values = (*xs, *ys)
    joint = max(values) - min(values)
    if joint <= (1 + NEAR) * span or len(set(xs)) == 1:
        span, xs, ys = max(joint, least), values, values
    half = span * (0.5 + MARGIN)
    middles = [(min(axis) + max(axis)) / 2 for axis in (xs, ys)]
    return (middles[0] - half, middles[0] + half), (middles[1] - half, middles[1] + half)


def _stems(axes: Any, points: Sequence[Point]) -> None:
    """Connect the public and the private score of a submission."""
    private = {point.number: point.score for point in points if point.series == "private"}
    for point in points:
        if point.series == "public" and point.number in private:
            ends = [point.score, private[point.number]]
            axes.plot([point.local] * 2, ends, color=_rgb(FAINT), alpha=0.5, linewidth=1, zorder=2)


def _label(axes: Any, points: Sequence[Point]) -> None:
    """Write each point's number beside it."""
    pixels = axes.transData.transform([(point.local, point.score) for point in points])
    places = [(float(x), float(y)) for x, y in pixels]
    first_turns = [FIRST_TURN[point.series] for point in points]
    (left, low), (right, high) = axes.get_window_extent().get_points()
    labels = _label_places(places, first_turns, (left, low, right, high))
    for point, place, label in zip(points, places, labels, strict=True):
        _write_number(axes, point, label, joined=math.dist(place, label) > RADII_PX[0] + 1)


def _label_places(
    points: Sequence[Place],
    first_turns: Sequence[float],
    window: tuple[float, float, float, float],
) -> list[Place]:
    """Return a place for a label beside each point, as far from other points and labels as can be.

    Args:
        points: In pixels.
        first_turns: The direction that is tried first, by point, in turns.
        window: Left, low, right and high end; no label is outside.
    """
    left, low, right, high = window
    labels: list[Place] = []
    for point, first in zip(points, first_turns, strict=True):
        taken = [place for place in (*points, *labels) if place != point]
        around = [
            _around(point, radius, first + turn / TURNS)
            for radius in RADII_PX
            for turn in range(TURNS)
        ]
        inside = [(x, y) for x, y in around if left < x < right and low < y < high]

        def clearance(place: Place, taken: Sequence[Place] = taken) -> float:
            return min([CLEARANCE_PX, *(math.dist(place, other) for other in taken)])

        labels.append(max(inside, key=clearance))
    return labels


def _write_number(axes: Any, point: Point, place: Place, *, joined: bool) -> None:
    colour = _rgb(_SERIES[point.series])
    axes.annotate(
        str(point.number),
        (point.local, point.score),
        place,
        textcoords="figure pixels",
        ha="center",
        va="center",
        size=9,
        color=colour,
        zorder=4,
        path_effects=[withStroke(linewidth=2.5, foreground=_rgb(PAPER))],
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6} if joined else None,
    )


def _around(centre: Place, radius: float, turn: float) -> Place:
    angle = 2 * math.pi * turn
    return (centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle))


def _rgb(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255

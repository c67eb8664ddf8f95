"""A picture of local scores against the leaderboard's, each submission by its number."""

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
ROOM = 0.12  # of the window, around the points
NEAR = 2.0  # the diagonal is shown up to so many widths of the points away
LEAST_SPAN = 1e-3  # of the window, of the size of the scores: a lone point needs some scale
RADII_PX, TURNS = (20.0, 30.0, 42.0), 16  # places around a point, where its number may stand
FIRST_TURN = {"public": 1 / 8, "private": -1 / 8}  # up and right, and down and right
ENOUGH_PX = 20.0  # from a number to the next number or point

Place = tuple[float, float]  # pixels


@dataclass(frozen=True)
class Mark:
    """One score of a submission: its number in the table, local score, leaderboard's, and which."""

    number: int
    local: float
    score: float
    series: Literal["public", "private"]


_SERIES = {"public": RIGHT, "private": MISSED}


def draw(
    marks: Sequence[Mark], *, title: str, metric: str, text: Sequence[tuple[str, str]]
) -> bytes:
    """Return a PNG of the scores, both leaderboards in one picture, and the line of equal scores.

    The axes have one scale, and the window holds the points; so does it hold the line, unless
    the scores lie far from it.

    Args:
        marks: At least one.
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
    _frame(axes, marks, metric)
    _stems(axes, marks)
    for mark in marks:
        colour = _rgb(_SERIES[mark.series])
        face = colour if mark.series == "public" else "none"
        axes.plot(
            mark.local, mark.score, "o", markersize=7, color=colour, markerfacecolor=face, zorder=3
        )
    _number(axes, marks)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def _head(figure: Figure, height: float, title: str, text: Sequence[tuple[str, str]]) -> None:
    """Write what stands above the axes, in a figure so many inches high."""
    bar = figure.add_axes((0, 1 - 0.06 / height, 1, 0.06 / height), facecolor=_rgb(ACCENT))
    bar.set(xticks=[], yticks=[])
    bar.spines[:].set_visible(False)
    figure.text(0.03, 1 - 0.45 / height, title, size=15, color=_rgb(INK), parse_math=False)
    for row, (series, words) in enumerate(text):
        y = 1 - (0.75 + LINE_INCHES * row) / height
        figure.text(0.03, y, "●" if series == "public" else "○", color=_rgb(_SERIES[series]))
        figure.text(0.06, y, words, size=9.5, color=_rgb(FAINT), parse_math=False)


def _frame(axes: Any, marks: Sequence[Mark], metric: str) -> None:
    """Set the window, the axes and the line of equal scores."""
    (left, right), (low, high) = _window(
        [mark.local for mark in marks], [mark.score for mark in marks]
    )
    axes.set(xlim=(left, right), ylim=(low, high))
    start, end = max(left, low), min(right, high)
    if start < end:
        axes.plot([start, end], [start, end], "--", color=_rgb(FAINT), linewidth=1, zorder=1)
        at = start + 0.04 * (right - left)
        side = 1 if sum(mark.score - mark.local for mark in marks) < 0 else -1  # of fewer points
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
    """Return the ends of both axes, of one length: of one range if that is not much longer."""
    least = LEAST_SPAN * max(1e-9, *map(abs, (*xs, *ys)))
    span = max(max(xs) - min(xs), max(ys) - min(ys), least)
    every = (*xs, *ys)
    joint = max(every) - min(every)
    if joint <= (1 + NEAR) * span or len(set(xs)) == 1:
        span, xs, ys = max(joint, least), every, every
    half = span * (0.5 + ROOM)
    middles = [(min(values) + max(values)) / 2 for values in (xs, ys)]
    return (middles[0] - half, middles[0] + half), (middles[1] - half, middles[1] + half)


def _stems(axes: Any, marks: Sequence[Mark]) -> None:
    """Join the two leaderboards' scores of a submission."""
    private = {mark.number: mark.score for mark in marks if mark.series == "private"}
    for mark in marks:
        if mark.series == "public" and mark.number in private:
            ends = [mark.score, private[mark.number]]
            axes.plot([mark.local] * 2, ends, color=_rgb(FAINT), alpha=0.5, linewidth=1, zorder=2)


def _number(axes: Any, marks: Sequence[Mark]) -> None:
    """Write each point's number beside it."""
    pixels = axes.transData.transform([(mark.local, mark.score) for mark in marks])
    points = [(float(x), float(y)) for x, y in pixels]
    first_turns = [FIRST_TURN[mark.series] for mark in marks]
    (left, low), (right, high) = axes.get_window_extent().get_points()
    spots = _spots(points, first_turns, (left, low, right, high))
    for mark, here, spot in zip(marks, points, spots, strict=True):
        _write(axes, mark, spot, joined=math.dist(here, spot) > RADII_PX[0] + 1)


def _spots(
    points: Sequence[Place],
    first_turns: Sequence[float],
    window: tuple[float, float, float, float],
) -> list[Place]:
    """Return a place beside each point, where other points and places leave most room.

    Args:
        points: In pixels.
        first_turns: The direction in which each looks first, in turns.
        window: Left, low, right and high end; no place is outside.
    """
    left, low, right, high = window
    spots: list[Place] = []
    for here, first in zip(points, first_turns, strict=True):
        taken = [place for place in (*points, *spots) if place != here]
        around = [_around(here, r, first + turn / TURNS) for r in RADII_PX for turn in range(TURNS)]
        inside = [(x, y) for x, y in around if left < x < right and low < y < high]
        spots.append(
            max(inside, key=lambda spot: min([ENOUGH_PX, *(math.dist(spot, o) for o in taken)]))
        )
    return spots


def _write(axes: Any, mark: Mark, place: Place, *, joined: bool) -> None:
    colour = _rgb(_SERIES[mark.series])
    axes.annotate(
        str(mark.number),
        (mark.local, mark.score),
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

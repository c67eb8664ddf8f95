"""Pictures of masks of several classes: each class in its colour, and where an answer is wrong.

A mask of one class keeps the simpler pictures of `darkroom.images.sheets`.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from darkroom.images import sheets
from darkroom.images.geometry import cv2
from darkroom.images.sheets import Colour, Pixels

# Apart in hue and in lightness, light enough for a dark page, without those of right and wrong.
_COLOURS: tuple[Colour, ...] = (
    (255, 176, 0),
    (86, 170, 255),
    (236, 90, 170),
    (110, 210, 90),
    (160, 120, 255),
    (255, 120, 80),
    (240, 235, 110),
    (40, 190, 200),
    (196, 150, 110),
    (200, 200, 215),
)
CONFUSED: Colour = (178, 102, 255)
ERRORS_LEGEND = (*sheets.COMPARE_LEGEND, ("another class", CONFUSED))
_GOLDEN = 0.618034  # of a turn: hues that follow each other lie far apart
_HATCH_PX = 4


def class_colour(number: int) -> Colour:
    """Return the colour of a class, from 0; those beyond the tenth are computed."""
    if number < len(_COLOURS):
        return _COLOURS[number]
    value = 0.95 if number % 2 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.65, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def class_legend(names: Sequence[str]) -> tuple[tuple[str, Colour], ...]:
    """Return the classes with their colours; of one class, which has no name, nothing."""
    return tuple((name, class_colour(number)) for number, name in enumerate(names))


def draw_masks(image: Pixels, planes: Pixels, classes: int) -> Pixels:
    """Return the image with its masks: outlined, or of several classes tinted as well.

    Tinted pixels are grey below their colour, so that it is that of the legend. A pixel of two
    classes has the mean of their colours; unknown pixels are hatched.

    Args:
        image: uint8 (H, W, C).
        planes: (K, H, W) of 0 and 1, or with a plane more, of unknown pixels.
        classes: K; 0 or 1: a single mask, of which only the outline is drawn.
    """
    if classes < 2:
        return sheets.outline(image, planes[0], apart=True)
    plain = sheets.as_rgb(image).astype(np.float32)
    masks = planes[:classes].astype(bool)
    colours = np.array([class_colour(number) for number in range(len(masks))], np.float32)
    count = masks.sum(axis=0)[..., None]
    mean = np.tensordot(masks.astype(np.float32), colours, (0, 0)) / np.maximum(count, 1)
    tinted = np.where(count > 0, _grey(plain) * 0.4 + mean * 0.6, plain * 0.7)
    if len(planes) > len(masks):
        unknown, (y, x) = planes[-1] > 0, np.indices(planes.shape[1:])
        tinted[unknown] = sheets.PAPER
        tinted[unknown & ((y + x) // _HATCH_PX % 2 == 0)] = sheets.FAINT
    drawn = np.clip(tinted + 0.5, 0, 255).astype(np.uint8)
    thick = max(1, round(min(image.shape[:2]) / 200))
    for number, mask in enumerate(masks):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, class_colour(number), thick, cv2.LINE_AA)
    return drawn


def compare_masks(
    image: Pixels, truth: Pixels, answer: Pixels, *, height: int | None = None
) -> Pixels:
    """Return the darkened image, tinted by what is right and wrong; see `sheets.compare`.

    Of several classes a fourth colour marks pixels that have another class, or one more, or less.
    Unknown pixels are not tinted.

    Args:
        image: uint8 (H, W, C).
        truth: (K, H, W) of 0 and 1, or with a plane more, of unknown pixels.
        answer: (K, H, W) of 0 and 1.
        height: Of the result, px; None keeps the image's own.
    """
    if len(answer) == 1:
        valid = (truth[-1] == 0) if len(truth) > 1 else np.ones(image.shape[:2], bool)
        return sheets.compare(image, truth[0] * valid, answer[0] * valid, height=height)
    masks, answers = truth[: len(answer)] > 0, answer > 0
    valid = np.ones(masks.shape[1:], bool)
    if len(truth) > len(answer):
        valid = truth[-1] == 0
    some, answered = masks.any(axis=0) & valid, answers.any(axis=0) & valid
    same = (masks == answers).all(axis=0)
    areas: list[tuple[NDArray[np.bool_], Colour, float]] = [
        (some & same, sheets.RIGHT, 0.35),
        (answered & ~some, sheets.EXCESS, 0.9),
        (some & ~answered, sheets.MISSED, 0.9),
        (some & answered & ~same, CONFUSED, 0.9),
    ]
    grey = np.clip(_grey(sheets.as_rgb(image).astype(np.float32)) + 0.5, 0, 255)
    return sheets.tint(np.repeat(grey.astype(np.uint8), 3, axis=2), areas, height=height)


def _grey(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lightness (H, W, 1) of RGB (H, W, 3), by the weights of ITU-R BT.601."""
    return pixels @ np.array([[0.299], [0.587], [0.114]], np.float32)


def mask_panels(image: Pixels, truth: Pixels, answer: Pixels) -> Pixels:
    """Return truth, answer and their comparison side by side, or a wide image below each other.

    Of a single mask, only the comparison.
    """
    errors = compare_masks(image, truth, answer)
    if len(answer) == 1:
        return errors
    pictures = [draw_masks(image, truth, len(answer)), draw_masks(image, answer, len(answer))]
    along = 0 if image.shape[1] > 1.5 * image.shape[0] else 1
    gap = max(2, round(min(image.shape[:2]) / 40))
    shape = [*errors.shape]
    shape[along] = gap
    between = np.full(shape, sheets.PAPER, np.uint8)
    return np.concatenate([pictures[0], between, pictures[1], between, errors], axis=along)

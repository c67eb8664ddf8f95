"""The worst and the best validation images at full resolution, with a crop of the worst place."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from darkroom.cli.report import page
from darkroom.cli.report.originals import (
    Originals,
    enlarged,
    framed,
    shrunk,
    worst_place,
    wrong_pixels,
)
from darkroom.cli.report.page import Cell, Row, Section, number, plural
from darkroom.cli.report.runs import Run
from darkroom.images import sheets
from darkroom.images.class_pictures import (
    ERRORS_LEGEND,
    class_legend,
    compare_masks,
    draw_masks,
)
from darkroom.images.geometry import Box
from darkroom.images.sheets import Pixels
from darkroom.prediction.best_and_worst import select
from darkroom.prediction.decision import DEFAULT_THRESHOLD
from darkroom.tasks.answers import Floats

WORST, BEST = 6, 2  # masks
WORST_LABELS, BEST_LABELS = 9, 3
MOST_WRONG = 12  # labels of one image, in its table
TOP = 3  # classes of one image

Masks = NDArray[np.uint8]
_SCORES = {
    "multilabel": " The score of an image is the share of its labels that are right.",
    "multiclass": " The score of an image is the probability of its true class.",
    "binary": " The score of an image is the probability of its true answer.",
    "regression": " The score of an image is its mean error in standard deviations, below 0.",
}


def pictures_section(originals: Originals, run: Run) -> Section | None:
    """Return the worst and the best validation images."""
    if run.scores is None or not len(run.scores):
        return None
    has_masks = originals.evidence.card.task == "segmentation"
    worst, best = (WORST, BEST) if has_masks else (WORST_LABELS, BEST_LABELS)
    rows = originals.evidence.train.set_index("id", drop=False)
    scores = run.scores.dropna(subset=["score"])
    scores = scores[scores["id"].isin(rows.index)]
    ids = select(scores, max(worst, best))
    half = min(max(worst, best), len(ids) // 2) or len(ids)
    chosen = [(f"Worst {k + 1}", each) for k, each in enumerate(ids[:half][:worst])]
    chosen += [(f"Best {k + 1}", each) for k, each in enumerate(ids[half:][:best])]
    predictions = originals.evidence.take([image_id for _, image_id in chosen])
    score_of = dict(zip(scores["id"], scores["score"], strict=True))
    articles = []
    for place, (title, image_id) in enumerate(chosen):
        row: Any = rows.loc[image_id]
        heading = f"{title}: {image_id}"
        draw = _mask_article if has_masks else _label_article
        score = float(score_of[image_id])
        articles.append(draw(originals, row, predictions[image_id], heading, score, place))
    blocks = [_legend(originals)] if has_masks else []
    blocks.append(page.group(articles, "stack" if has_masks else "cards"))
    return Section("pictures", "Worst and best", _lead(originals, has_masks), blocks)


def _lead(originals: Originals, has_masks: bool) -> str:
    state = (
        "as they were delivered" if originals.reader else "as they are stored: data/raw is not here"
    )
    lead = f"Validation images, {state}, each by the network that was not trained on it."
    if has_masks:
        lead += (
            " The frame is the place with the most wrong pixels, shown beside it pixel by pixel."
        )
    return lead + _SCORES.get(originals.evidence.card.task, "")


def _legend(originals: Originals) -> Markup:
    card = originals.evidence.card
    names = class_legend(card.targets) if card.planes > 1 else ()
    errors = ERRORS_LEGEND if card.planes > 1 else sheets.COMPARE_LEGEND
    item = Markup('<li><span style="color:{}" aria-hidden="true">■</span> {}</li>')
    items = [item.format(page.css(colour), name) for name, colour in (*names, *errors)]
    return Markup('<ul class="key">{}</ul>').format(Markup("").join(items))


def _mask_article(
    originals: Originals,
    row: "pd.Series[Any]",
    probabilities: Floats,
    heading: str,
    score: float,
    place: int,
) -> Markup:
    pixels = originals.picture(row)
    size = pixels.shape[0], pixels.shape[1]
    truth, answer = originals.masks(row, size), originals.answer(probabilities, size)
    wrong = wrong_pixels(truth, answer)
    count, share = int(wrong.sum()), float(wrong.mean())
    note = f"score {number(score)} · {count:,} wrong pixels, {share:.2%} of all · {_where(row)}"
    whole = compare_masks(pixels, truth, answer)
    box = worst_place(wrong)
    alt = f"{row['id']}: {count:,} of {wrong.size:,} pixels wrong"
    if box is None:
        blocks = [page.picture(shrunk(whole), f"{alt}, all is right", id=f"picture-{place}")]
        return page.article(heading, blocks, note=note)
    caption = f"The whole picture, {size[1]} × {size[0]} px."
    is_part = (box.height, box.width) != size
    left = page.picture(
        shrunk(framed(whole, box) if is_part else whole), alt, caption, id=f"picture-{place}"
    )
    crops = page.group(list(_crops(pixels, truth, answer, box)), "crops small")
    return page.article(heading, [page.group([left, crops])], note=note)


def _where(row: "pd.Series[Any]") -> str:
    return f"fold {int(row['fold'])}"


def _crops(pixels: Pixels, truth: Masks, answer: Masks, box: Box) -> Iterator[Markup]:
    """Yield the worst place: the picture, its outlines or classes, and what is wrong."""
    crop = enlarged(pixels[box.slices])
    masks, answers = (
        np.stack([enlarged(plane[box.slices]) for plane in planes]) for planes in (truth, answer)
    )
    place = f"{box.width} × {box.height} px at column {box.left}, row {box.top}"
    if len(answer) == 1:
        lines = _outlined(crop, masks[0], sheets.MISSED)
        lines = _outlined(lines, answers[0], sheets.RIGHT)
        names = f"Outlines of the truth, yellow, and of the answer, green: {place}"
        yield page.picture(lines, f"The worst place, {place}, with both outlines", names)
    else:
        yield page.picture(crop, f"The worst place, {place}", f"The place: {place}")
        count = len(answer)
        yield page.picture(draw_masks(crop, masks, count), f"The truth in {place}", "The truth")
        yield page.picture(draw_masks(crop, answers, count), f"The answer in {place}", "The answer")
    missed, excess, confused = _kinds(truth, answer, box)
    words = f"{missed:,} px missed, {excess:,} px too many"
    words += f", {confused:,} px of another class" if len(answer) > 1 else ""
    yield page.picture(compare_masks(crop, masks, answers), f"{place}: {words}", f"Errors: {words}")


def _outlined(pixels: Pixels, mask: NDArray[np.uint8], colour: sheets.Colour) -> Pixels:
    """Return pixels with the outline of a mask, but none where it is cut off at the border."""
    pad = 8
    wide = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    drawn = sheets.outline(wide, np.pad(mask, pad, mode="edge"), colour, thickness=2)
    return drawn[pad:-pad, pad:-pad]


def _kinds(truth: Masks, answer: Masks, box: Box) -> tuple[int, int, int]:
    """Return how many pixels of a place are missed, too many, and of another class."""
    wrong = wrong_pixels(truth, answer)[box.slices]
    some = truth[: len(answer), *box.slices].any(axis=0)
    answered = answer[:, *box.slices].any(axis=0)
    return (
        int((wrong & some & ~answered).sum()),
        int((wrong & answered & ~some).sum()),
        int((wrong & some & answered).sum()),
    )


def _label_article(
    originals: Originals,
    row: "pd.Series[Any]",
    probabilities: Floats,
    heading: str,
    score: float,
    place: int,
) -> Markup:
    pixels = originals.picture(row)
    rows, truth, is_right = _answers(originals, row, probabilities)
    alt = f"{row['id']}: {truth}" if truth else str(row["id"])
    caption = f"score {number(score)}, {_where(row)}"
    shown = page.picture(shrunk(pixels), alt, caption, id=f"picture-{place}")
    head = ("", "probability", "")
    if originals.evidence.card.task == "regression":
        head = ("", "answer", "is")
    table = page.table(f"Answer to {row['id']}", head, rows)
    kind = {True: "right", False: "wrong", None: ""}[is_right]
    return page.article(heading, [shown, table], note=truth, kind=kind)


def _answers(
    originals: Originals, row: "pd.Series[Any]", probabilities: Floats
) -> tuple[list[Row], str, bool | None]:
    """Return a row for each probable class or wrong label, a line on them, and if all is right."""
    card, decision = originals.evidence.card, originals.evidence.decision
    truth = row[list(card.targets)].to_numpy(np.float64)
    if card.task == "regression":
        pairs = zip(card.targets, probabilities, truth, strict=True)
        return [(n, number(float(p)), number(float(t))) for n, p, t in pairs], "", None
    answers = decision.answers(card.task, probabilities[None])[0]
    if card.task == "multiclass":
        is_ = int(truth.argmax()) if card.soft else int(truth[0])
        return _class_answer(card.shown, is_, int(answers), probabilities)
    names, is_binary = card.targets, card.task == "binary"
    if is_binary and card.label_values != ("0", "1"):
        names = (card.label_values[1],)
    limits = decision.threshold_array(len(names))
    rows, line, is_right = _label_answers(names, truth, answers, probabilities, limits)
    if is_binary:
        line = f"is {card.label_values[int(truth[0] > DEFAULT_THRESHOLD)]}"
        line += "" if is_right else f", taken for {card.label_values[int(answers[0])]}"
    return rows, line, is_right


def _class_answer(
    classes: Sequence[str], is_: int, answer: int, probabilities: Floats
) -> tuple[list[Row], str, bool]:
    top = np.argsort(-probabilities, kind="stable")[:TOP].tolist()
    shown = list(dict.fromkeys([answer, *top, is_]))[: TOP + 1]
    shown += [is_] if is_ not in shown else []
    rows: list[Row] = []
    for k in sorted(shown, key=lambda k: -probabilities[k]):
        word = "right" if k == is_ == answer else "is" if k == is_ else ""
        word = "answer" if k == answer != is_ else word
        chance = float(probabilities[k])
        kind = "good" if k == is_ else "bad" if k == answer else "faint"
        bar = Cell(f"{chance:.1%}", f"number {kind}", bar=chance)
        rows.append([Cell(classes[k]), bar, Cell(word, kind)])
    taken = "" if is_ == answer else f", taken for {classes[answer]}"
    return rows, f"is {classes[is_]}{taken}", is_ == answer


def _label_answers(
    names: Sequence[str],
    truth: NDArray[np.float64],
    answers: NDArray[np.uint8],
    probabilities: Floats,
    limits: Floats,
) -> tuple[list[Row], str, bool]:
    is_known = ~np.isnan(truth)
    present = np.nan_to_num(truth) > 0.5
    wrong = np.flatnonzero((present != (answers > 0)) & is_known)
    order = sorted(wrong.tolist(), key=lambda k: -abs(float(probabilities[k] - limits[k])))
    if not order:  # then the least sure
        order = np.argsort(np.abs(probabilities - limits), kind="stable")[:TOP].tolist()
    rows: list[Row] = []
    for k in order[:MOST_WRONG]:
        chance, is_wrong = float(probabilities[k]), k in wrong
        kind = "bad" if is_wrong else "good"
        words = "missed" if is_wrong and present[k] else "is" if present[k] else "is not"
        bar = Cell(f"{chance:.1%}", f"number {kind}", bar=chance, tick=float(limits[k]))
        rows.append([Cell(names[k]), bar, Cell(words, kind)])
    right = int(is_known.sum()) - len(wrong)
    hidden = len(order) - len(rows)
    more = f", {hidden} of them not shown" if hidden else ""
    line = f"{right} of {plural(int(is_known.sum()), 'label')} right; {len(wrong)} wrong{more}"
    return rows, line, not len(wrong)

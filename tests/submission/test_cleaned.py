"""Masks are cleaned alike where they are scored and where they are written."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from darkroom.images import rle
from darkroom.images.objects import Cleanup
from darkroom.index.card import Card
from darkroom.prediction.decision import Decision
from darkroom.prediction.masks.counts import MaskRules
from darkroom.submission.masks import Floats, plane_encoder
from tests.prediction.masks.test_scores import SIDE, Masks, drawn, evaluate
from tests.support import tiny
from tests.support.damage import Project

CARD = Card("segmentation", ("mask",))
ALL = [Cleanup(*each) for each in product((0, 3, 9), (False, True), (False,), (False, True))]


def written_dice(truth: Masks, probabilities: Floats, decision: Decision) -> float:
    """Return the mean Dice of what a submission says of images (N, 1, 8, 8)."""
    encode = plane_encoder(CARD, decision, "stretch", objects=False)
    scores = []
    cells = encode(probabilities, [(SIDE, SIDE)] * len(truth))
    for mask, [[text]] in zip(truth[:, 0], cells, strict=True):
        answer = rle.decode(text, SIDE, SIDE)
        whole = int(answer.sum()) + int(mask.sum())
        scores.append(2 * int((answer & mask).sum()) / whole if whole else 1.0)
    return float(np.mean(scores))


@pytest.mark.parametrize(
    ("cleanup", "dice"),
    [
        (Cleanup(), 2 * 8 / (9 + 13)),
        (Cleanup(min_area=2), 2 * 8 / (9 + 12)),
        (Cleanup(fill_holes=True), 2 * 9 / (9 + 14)),
        (Cleanup(largest=True), 2 * 8 / (9 + 8)),
        (Cleanup(min_area=9), 0),
        (Cleanup(min_area=9, largest=True), 0),
        (Cleanup(min_area=9, fill_holes=True), 1),
        (Cleanup(fill_holes=True, largest=True), 1),
    ],
)
def test_a_ring_a_block_and_a_speck(tmp_path: Path, cleanup: Cleanup, dice: float) -> None:
    """The truth is the ring of 8 pixels with its hole; the block of 4 and the speck are wrong."""
    truth = np.zeros((1, 1, SIDE, SIDE), np.uint8)
    truth[0, 0, :3, :3] = 1
    found = truth.astype(np.float32)
    found[0, 0, 1, 1], found[0, 0, 5:7, 5:7], found[0, 0, 7, 0] = 0, 1, 1
    rules = MaskRules(cleanup=cleanup, threshold=0.5)
    assert evaluate(tmp_path / "x", truth, found, rules).metrics["dice"] == pytest.approx(dice)
    assert written_dice(truth, found, Decision(0.5, **vars(cleanup))) == pytest.approx(dice)


@pytest.mark.parametrize("cleanup", ALL)
def test_the_local_score_is_that_of_the_written_masks(tmp_path: Path, cleanup: Cleanup) -> None:
    truth, found = drawn(3, classes=1)
    rules = MaskRules(cleanup=cleanup, threshold="auto")
    evaluation = evaluate(tmp_path / "x", truth, found, rules)
    decision = Decision(evaluation.threshold, **vars(cleanup))
    assert evaluation.metrics["dice"] == pytest.approx(written_dice(truth, found, decision))


def test_the_stages_pass_it_on(project: Project) -> None:
    root = project("masks")
    assert masked_pixels() > 0
    cleaned = {"min_area": 2000, "fill_holes": True, "largest": True}  # no image has so many
    tiny.edit(root, lambda params: params["tiny"]["evaluate"].update(cleaned))
    tiny.run("evaluate", "submission")
    decision = json.loads(Path("reports/tiny/decision.json").read_text())
    assert {key: decision[key] for key in cleaned} == cleaned
    assert masked_pixels() == 0
    assert json.loads(Path("reports/tiny/metrics.json").read_text())["validation"]["dice"] == 0


def masked_pixels() -> int:
    table = pd.read_csv("submissions/tiny.csv.gz", keep_default_na=False)
    runs = " ".join(table.iloc[:, 1]).split()
    return sum(map(int, runs[1::2]))

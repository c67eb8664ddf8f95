"""Masks at their final size by every metric, against counting by hand."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.images.objects import Cleanup
from darkroom.index.card import Card
from darkroom.params.section import OBJECT_METRICS
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import Evaluation
from darkroom.prediction.masks import counts
from darkroom.prediction.masks.counts import MaskRules
from darkroom.prediction.masks.scores import score_masks
from darkroom.prediction.masks.stacks import Stacks, refuse_parted_stacks
from darkroom.prediction.parts import extended
from darkroom.prediction.predictions import Prediction
from darkroom.prediction.scoring import LabelledPredictions
from darkroom.prediction.thresholds import THRESHOLDS, index_of
from darkroom.project.journal import Journal
from darkroom.raw.archives import Archives
from darkroom.raw.masks import ONE_MASK, MaskForm
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard
from darkroom.tasks.metrics import masks, objects
from darkroom.tasks.metrics.specs import METRICS
from darkroom.tasks.planes import MaskClasses
from tests.support.packed import zip_of
from tests.support.tiny import png

Masks = NDArray[np.uint8]
SIDE = 8


def drawn(seed: int, images: int = 24, classes: int = 2) -> tuple[Masks, NDArray[np.float32]]:
    """Truth (n, K, 8, 8), often empty, and probabilities that are too low, by class."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((images, classes, SIDE, SIDE), np.uint8)
    for mask in truth.reshape(-1, SIDE, SIDE):
        for _ in range(rng.integers(0, 3)):
            top, left = rng.integers(0, SIDE - 3, 2)
            mask[top : top + 3, left : left + 3] = 1
    noise = rng.uniform(0, 0.5, truth.shape)
    scale = np.linspace(0.45, 0.95, classes)[:, None, None]
    return truth, ((0.5 * truth + noise) * scale).astype(np.float32)


def evaluate(
    folder: Path,
    truth: Masks,
    found: NDArray[np.float32],
    rules: MaskRules,
    masks_of: Any = None,
    ids: list[str] | None = None,
    journal: Journal | None = None,
) -> Evaluation:
    """Write masks as files, a file a class, and score probabilities against them."""
    import pandas as pd

    folder.mkdir(exist_ok=True)
    ids = ids or [f"i{n:03}" for n in range(len(truth))]
    several = truth.shape[1] > 1
    files = {f"{i}_{k}.png": png(mask) for i, of in zip(ids, truth, strict=True)
             for k, mask in enumerate(of)}  # fmt: skip
    zip_of(folder / "raw/m.zip", files)
    cells = [
        str([[f"m.zip/{i}_{k}.png"] for k in range(truth.shape[1])]).replace("'", '"')
        if several
        else f"m.zip/{i}_0.png"
        for i in ids
    ]
    rows = pd.DataFrame(
        {"id": ids, "image": ids, "mask": masks_of or cells, "mask_digest": [""] * len(ids)}
    )
    black = pack_image(np.zeros((SIDE, SIDE, 3), np.uint8), "raw", 90)
    stored = [
        StoredImage(i, black, pack_mask(of if several else of[0]), SIDE, SIDE)
        for i, of in zip(ids, truth, strict=True)
    ]
    path = folder / shard_name("train", 0)
    write_shard(path, stored, ShardFormat(SIDE, SIDE, "stretch", "raw", planes=truth.shape[1]))

    def predictions() -> Iterator[Prediction]:
        for start in range(0, len(ids), 5):
            part = slice(start, start + 5)
            sizes = np.full((len(ids[part]), 2), SIDE)
            yield Prediction(ids[part], found[part], sizes)

    return score_masks(
        [LabelledPredictions(rows, rows, predictions(), journal)],
        Store(folder, "train"),
        Archives(folder / "raw", folder / "spool"),
        rules=rules,
        progress=lambda _: None,
    )


@pytest.mark.parametrize("cores", [1, 3])
def test_a_journal_has_the_counts_of_each_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(counts, "cores", lambda: cores)
    truth, found = drawn(3, images=12, classes=1)
    journal = Journal(tmp_path / "x.parts")
    evaluate(tmp_path / "p", truth, found, MaskRules(), journal=journal)
    parts = list(extended(journal, lambda _: iter(())))
    assert [len(part["areas"]) for part in parts] == [5, 5, 2]
    areas = np.concatenate([part["areas"] for part in parts])
    assert areas.tolist() == truth.sum(axis=(2, 3)).tolist()
    above = found[..., None] > THRESHOLDS
    hits = (above & (truth > 0)[..., None]).sum(axis=(2, 3))
    assert np.concatenate([part["hits"] for part in parts]).tolist() == hits.tolist()
    by_mean = truth.mean(axis=0, dtype=np.float32)[..., None] > THRESHOLDS
    mean_hits = (by_mean & (truth > 0)[..., None]).sum(axis=(2, 3))
    assert np.concatenate([part["mean_hits"] for part in parts]).tolist() == mean_hits.tolist()


def two(name: str, **options: Any) -> MaskRules:
    return MaskRules(METRICS[name], ("a", "b"), MaskForm(2, None), **options)


def baseline_of(evaluation: Evaluation, name: str) -> float:
    value = evaluation.metrics[f"baseline_{name}"]
    assert value is not None
    return value


def plain_score(name: str, truth: Masks, answer: Masks) -> float | None:
    """Return a metric of masks (n, K, H, W) from its definition."""
    hits, answered, areas = (p.sum(axis=(2, 3)) for p in (truth & answer, answer, truth))
    return masks.masks_score(name, hits, answered, areas)


@pytest.mark.parametrize("name", ["dice", "iou", "mask_iou_precision", "global_dice", "mean_iou"])
def test_the_score_is_that_of_the_decision(tmp_path: Path, name: str) -> None:
    truth, found = drawn(1)
    evaluation = evaluate(tmp_path / "p", truth, found, two(name, threshold="auto"))
    answer = evaluation.decision.answers("segmentation", found)
    score = evaluation.metrics[name]
    assert score is not None
    assert next(iter(evaluation.metrics)) == name
    assert score == pytest.approx(plain_score(name, truth, answer))
    # No common threshold does better, nor any of another class's.
    for level in np.arange(8, 256, 8) / 256:
        common = Decision(float(level)).answers("segmentation", found)
        assert (plain_score(name, truth, common) or 0) <= score + 1e-9
    fitted = evaluation.metrics[f"{name}_cross_fitted"]
    assert fitted is not None
    assert baseline_of(evaluation, name) < fitted <= score
    assert isinstance(evaluation.threshold, tuple)
    assert evaluation.curves["classes"]["threshold"].tolist() == list(evaluation.threshold)
    baseline = evaluation.metrics[f"baseline_{name}"]
    constants = [plain_score(name, truth, np.full_like(truth, value)) or 0.0 for value in (0, 1)]
    assert baseline is not None
    assert max(constants) - 1e-9 <= baseline < score


def test_a_class_that_few_images_show_has_the_common_threshold(tmp_path: Path) -> None:
    truth, found = drawn(2)
    truth[:, 0] = 0
    truth[:9, 0, :4] = 1
    found[:, 0] = 0.2 * truth[:, 0] + 0.05
    few = evaluate(tmp_path / "a", truth, found, two("dice", threshold="auto"))
    truth[9, 0, :4] = 1
    found[:, 0] = 0.2 * truth[:, 0] + 0.05
    enough = evaluate(tmp_path / "b", truth, found, two("dice", threshold="auto"))
    assert isinstance(enough.threshold, tuple)
    assert enough.threshold[0] < 0.25 < enough.threshold[1]
    curve = few.curves["threshold"].to_numpy(np.float64)
    best = curve[curve[:, 1] >= curve[:, 1].max() - 1e-12, 0]
    threshold = few.decision.threshold_array(2)
    assert threshold[0] == best[np.abs(best - 0.5).argmin()]


def test_a_given_threshold_is_taken_and_several_classes_choose_theirs(tmp_path: Path) -> None:
    truth, found = drawn(1)
    fixed = evaluate(tmp_path / "a", truth, found, two("dice", threshold=0.4))
    assert fixed.threshold == pytest.approx(102 / 256)
    assert fixed.metrics["dice"] == pytest.approx(
        plain_score("dice", truth, (found > 102 / 256).astype(np.uint8))
    )
    chosen = evaluate(tmp_path / "b", truth, found, two("dice"))
    assert isinstance(chosen.threshold, tuple)
    assert chosen.metrics["dice_at_half"] == pytest.approx(
        plain_score("dice", truth, (found > 0.5).astype(np.uint8))
    )
    assert MaskRules().fixed == 0.5, "of one class"


def test_exclusive_classes_leave_unknown_pixels_out(tmp_path: Path) -> None:
    # Values 0 and 1 are classes, 255 is unknown: a picture of 4 x 8 px a class.
    values = np.zeros((1, SIDE, SIDE), np.uint8)
    values[:, 4:] = 1
    values[:, 0] = 255
    zip_of(tmp_path / "p/raw/v.zip", {"i000.png": png(values[0])})
    truth = np.stack([values == 0, values == 1], axis=1).astype(np.uint8)
    found = np.zeros((1, 2, SIDE, SIDE), np.float32)
    found[:, 0, :5], found[:, 1, :5] = 0.6, 0.4  # a row too many
    found[:, 0, 5:], found[:, 1, 5:] = 0.3, 0.7
    card = Card("segmentation", ("a", "b"), values=((0, "a"), (1, "b"), (255, None)), unknown=True)
    rules = MaskRules(
        METRICS["mean_iou"],
        card.targets,
        MaskForm(card.planes, card.value_planes),
        MaskClasses(card.exclusive, card.background),
    )
    (tmp_path / "p").mkdir(exist_ok=True)
    evaluation = evaluate(tmp_path / "p", truth, found, rules, masks_of=["v.zip/i000.png"])
    # a: 24 of 24 + 8 pixels; b: 24 of 32.
    assert evaluation.metrics["mean_iou"] == pytest.approx((24 / 32 + 24 / 32) / 2)
    assert evaluation.threshold == 0.5


@pytest.mark.parametrize("name", ["iou_precision", "f2_iou", "dice_hausdorff", "dice"])
def test_what_is_answered_in_unknown_pixels_does_not_count(tmp_path: Path, name: str) -> None:
    values = np.zeros((1, SIDE, SIDE), np.uint8)
    values[0, :3, :3], values[0, :, 5:] = 1, 255
    (tmp_path / "p").mkdir()
    zip_of(tmp_path / "p/raw/v.zip", {"i000.png": png(values[0])})
    truth = np.stack([values == 1, values == 2], axis=1).astype(np.uint8)
    answers = truth.astype(np.float32) * 0.9
    answers[0, 0, 5:, 6:] = 0.9  # an object in unknown pixels alone
    answers[0, 1, 0, 4:] = 0.9  # one that lies mostly in them
    rules = MaskRules(
        METRICS[name],
        ("a", "b"),
        MaskForm(2, {1: 0, 2: 1, 255: None}),
        MaskClasses(exclusive=True, background=True),
    )
    metrics = evaluate(
        tmp_path / "p", truth, answers, rules, masks_of=["v.zip/i000.png"], ids=["s_1"]
    ).metrics
    # The first class is right; one pixel of the second is invented.
    expected = {"iou_precision": 0.5, "f2_iou": 5 / 6, "dice": 0.5, "dice_hausdorff": 0.5}
    assert metrics[name] == pytest.approx(expected[name])


@pytest.mark.parametrize("name", OBJECT_METRICS)
def test_objects_are_counted_after_their_cleanup(tmp_path: Path, name: str) -> None:
    truth = np.zeros((2, 1, SIDE, SIDE), np.uint8)
    truth[0, 0, :3, :3] = truth[0, 0, 5:, 5:] = 1  # two objects; the second image has none
    found = 0.7 * truth.astype(np.float32)
    found[:, 0, 7, 0] = 0.9  # a speck in both
    rules = MaskRules(METRICS[name], threshold=0.5)
    specks = evaluate(tmp_path / "a", truth, found, rules)
    clean = evaluate(
        tmp_path / "b",
        truth,
        found,
        MaskRules(METRICS[name], threshold=0.5, cleanup=Cleanup(min_area=2)),
    )
    assert clean.metrics[name] == 1
    assert specks.metrics[name] == pytest.approx(
        (2 / 3 if name == "iou_precision" else 10 / 11) / 2
    )
    assert specks.metrics[f"baseline_{name}"] == 0.5, "nothing: right where there is none"
    assert specks.per_image["score"].tolist()[1] == 0
    assert f"{name}_at_half" not in specks.metrics, "one level alone is counted"


def test_masks_are_cleaned_before_they_are_counted(tmp_path: Path) -> None:
    truth = np.zeros((1, 1, SIDE, SIDE), np.uint8)
    truth[0, 0, 1:6, 1:6] = 1
    found = truth.astype(np.float32) * 0.9
    found[0, 0, 3, 3], found[0, 0, 7, 7] = 0, 0.9  # a hole, and a speck
    rules = MaskRules(cleanup=Cleanup(min_area=2, fill_holes=True), threshold=0.5)
    assert evaluate(tmp_path / "a", truth, found, rules).metrics["dice"] == 1
    largest = MaskRules(cleanup=Cleanup(largest=True), threshold=0.5)
    assert evaluate(tmp_path / "c", truth, found, largest).metrics["dice"] == pytest.approx(48 / 49)
    plain = evaluate(tmp_path / "b", truth, found, MaskRules(threshold=0.5))
    assert plain.metrics["dice"] == pytest.approx(48 / 50)


def test_masks_are_scored_at_the_size_of_the_submission(tmp_path: Path) -> None:
    truth = np.zeros((1, 1, SIDE, SIDE), np.uint8)
    truth[0, 0, :, :4] = 1
    found = np.zeros((1, 1, SIDE, SIDE), np.float32)
    found[0, 0, :, :2] = 1
    rules = MaskRules(METRICS["iou"], threshold=0.5, size=(4, 4))
    evaluation = evaluate(tmp_path / "p", truth, found, rules)
    assert evaluation.metrics["iou"] == 0.5  # 4 of 8 pixels


def test_stacks_are_scored_as_uw_madison_does(tmp_path: Path) -> None:
    truth, found = drawn(4, images=6, classes=2)
    ids = [f"case{c}_day0_slice_{n:04}" for c in (1, 2) for n in (1, 2, 10)]
    rules = two("dice_hausdorff", threshold="auto")
    evaluation = evaluate(tmp_path / "p", truth, found, rules, ids=ids)
    answer = evaluation.decision.answers("segmentation", found)
    rows = [
        2 * int((t & a).sum()) / int(t.sum() + a.sum())
        for t, a in zip(truth.reshape(-1, SIDE, SIDE), answer.reshape(-1, SIDE, SIDE), strict=True)
        if t.any() or a.any()
    ]
    distances = [
        objects.stack_distance(truth[part, k], answer[part, k])
        for part in (slice(3), slice(3, 6))
        for k in range(2)
        if truth[part, k].any() or answer[part, k].any()
    ]
    expected = 0.4 * np.mean(rows) + 0.6 * (1 - np.mean(distances))
    assert evaluation.metrics["dice_hausdorff"] == pytest.approx(expected)


def test_one_mask_of_one_class_is_counted_as_before(tmp_path: Path) -> None:
    truth, found = drawn(5, classes=1)
    rules = MaskRules(form=ONE_MASK, threshold="auto")
    evaluation = evaluate(tmp_path / "p", truth, found, rules)
    answer = evaluation.decision.answers("segmentation", found)
    assert evaluation.metrics["dice"] == pytest.approx(plain_score("dice", truth, answer))
    assert list(evaluation.metrics)[:2] == ["dice", "dice_median"]


def test_slices_that_wait_for_their_stack_take_a_bit_a_pixel() -> None:
    rng = np.random.default_rng(6)
    truth, answers = rng.random((9, 1, 50, 51)) < 0.1, rng.random((9, 15, 1, 50, 51)) < 0.1
    ids = [f"case1_slice_{n}" for n in range(9)]
    stacks = Stacks(ids)
    tracemalloc.start()
    for n in range(8):
        assert np.isnan(stacks.add(ids[n], truth[n].view(np.uint8), [*answers[n]])).all()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 8 * 50 * (15 * 7 + 51) * 1.1  # 15 answers of 51 bits a row, and their truth
    distances = stacks.add(ids[8], truth[8].view(np.uint8), [*answers[8]])
    expected = [objects.stack_distance(truth[:, 0], answers[:, t, 0]) for t in range(15)]
    assert distances.tolist() == [expected]


def test_a_stack_in_two_folds_is_refused() -> None:
    refuse_parted_stacks([["a_1", "a_2"], ["b_1"]])
    with pytest.raises(DataError, match="found: 1 stacks, such as a_"):
        refuse_parted_stacks([["a_1", "b_1"], ["a_2"]])


def test_a_filled_hole_leaves_out_another_class() -> None:
    ring = np.zeros((2, SIDE, SIDE), np.float32)
    ring[0, 1:6, 1:6] = 0.9
    ring[0, 3, 3], ring[1, 3, 3] = 0.1, 0.9
    classes = MaskClasses(exclusive=True, background=True)
    rules = two("dice", classes=classes, cleanup=Cleanup(fill_holes=True))
    answer = counts._masks(ring, None, index_of(0.5), rules)
    assert answer.sum(axis=(1, 2)).tolist() == [24, 1]

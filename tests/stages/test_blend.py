"""Blends of predictions that are known: their files, scores, reports and submissions."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.cli.main import main, read_context
from darkroom.index.table import read_index
from darkroom.prediction.predictions import Header, Prediction, Predictions, write_predictions
from darkroom.stages import blend
from darkroom.stages._inputs import outputs_of, read_train
from darkroom.stages._model_params import KEY, prediction_params
from darkroom.store.store import Store
from darkroom.tasks.metrics.specs import get_metric
from tests.support import tiny

Array = np.ndarray[Any, np.dtype[Any]]
Guess = Callable[[Array, Array], Array]
"""(the truth of some images, their numbers) to a member's predictions."""

BLENDED = "both"


def project(root: Path, kind: str, method: str = "greedy", **sections: Any) -> None:
    """Make a project of two sections of the same data, stored; the second's masks are larger."""
    tiny.project(root, kind, **sections)

    def change(params: dict[str, Any]) -> None:
        other = copy.deepcopy(params[tiny.NAME])
        if kind == "masks":
            other["preprocess"] |= {"height": 40, "width": 48}
        params |= {
            "folds": [0, 1],
            "competitions": [tiny.NAME, "other"],
            "other": other,
            "blends": [{"name": BLENDED, "members": [tiny.NAME, "other"], "method": method}],
        }

    tiny.edit(root, change)
    for name in (tiny.NAME, "other"):
        for verb in ("fetch", "index", "split", "preprocess"):
            assert main([verb, name]) == 0


def predict(name: str, guess: Guess) -> None:
    """Write the predictions of a section: of test images as if all targets were 0."""
    context = read_context(name)
    paths = context.paths
    index = read_index(paths.index, paths.card)
    card = index.card
    train, split_sha256 = read_train(paths, index)
    test = index.rows[index.rows["part"] == "test"]
    for fold in context.folds:
        for part, rows in (("valid", train[train["fold"] == fold]), ("test", test)):
            shards = Store(paths.processed, "train" if part == "valid" else "test")
            numbers = [shards.ids.index(each) for each in rows["id"]]
            shape: tuple[int, ...] = (outputs_of(card),)
            if card.task == "segmentation":
                shape = (card.planes, shards.height, shards.width)
            if part == "test":
                truth = np.zeros((len(rows), *shape))
            elif card.task == "segmentation":
                truth = shards.masks(numbers).astype(np.float64)
            else:
                truth = rows[list(card.targets)].to_numpy(np.float64)
            if card.task == "multiclass" and part == "valid":
                truth = np.eye(shape[0])[truth[:, 0].astype(int)]
            values = guess(truth, np.array(numbers)).astype(np.float32)
            facts = {
                "name": name,
                "fold": fold,
                "index": index.sha256,
                "split": split_sha256,
                "weights": "of no network",
                KEY: prediction_params(context),
            }
            header = Header(
                part,  # type: ignore[arg-type]
                card.task,
                shape,
                len(rows),
                shards.fit,
                fingerprint=name,
                facts=facts,
            )
            batch = Prediction(rows["id"].tolist(), values, shards.originals[numbers].astype(int))
            write_predictions(paths.predictions(part, fold), header, partial(_once, batch))


def _once(batch: Prediction, _done: int) -> Iterator[Prediction]:
    if batch.ids:  # fold all validates nothing
        yield batch


def right(truth: Array, _numbers: Array) -> Array:
    return np.asarray(0.1 + 0.8 * truth)


def noise(truth: Array, numbers: Array) -> Array:
    return np.asarray(np.random.default_rng(len(numbers)).random(truth.shape))


def wrong_on(odd: int) -> Guess:
    """Return a member that is sure and right on half of the images, and unsure on the others."""

    def guess(truth: Array, numbers: Array) -> Array:
        is_wrong = (numbers % 2 == odd).reshape(-1, *[1] * (truth.ndim - 1))
        return np.where(is_wrong, 0.55 - 0.1 * truth, right(truth, numbers))

    return guess


def report() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path(f"reports/{BLENDED}/blend.json").read_text())
    return values


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["binary", "multiclass", "masks"])
def test_members_of_disjoint_errors_are_better_together(
    place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project(place, kind)
    predict(tiny.NAME, wrong_on(0))
    predict("other", wrong_on(1))
    assert main(["blend", BLENDED]) == 0
    values = report()
    scores = [each["score"] for each in values["members"].values()]
    assert values["score"] > max(scores) + 0.1
    assert values["better"] is True
    assert "not better" not in capsys.readouterr().out
    assert main(["check", BLENDED]) == 0
    metrics = json.loads(Path(f"reports/{BLENDED}/metrics.json").read_text())["validation"]
    assert values["score"] in metrics.values()
    main(["summary"])
    words = capsys.readouterr().out.split(f"\n{BLENDED}\n")[1]
    assert f"reports/{tiny.NAME}/contact_sheet.jpg reports/{BLENDED}/best_and_worst.jpg" in words


@pytest.mark.parametrize(
    ("metric", "score", "other", "better"),
    [
        ("log_loss", 0.58130369, 0.58130370, False),  # of the same member, rounded otherwise
        ("log_loss", 0.5812, 0.5813, True),
        ("log_loss", 0.5814, 0.5813, False),
        ("roc_auc", 0.8001, 0.8, True),
        ("roc_auc", 0.8, None, True),
        ("roc_auc", None, None, False),
    ],
)
def test_a_blend_is_better_by_more_than_rounding(
    metric: str, score: float | None, other: float | None, better: bool
) -> None:
    assert blend._is_better(get_metric(metric, "binary"), score, other) is better


def test_a_useless_member_has_no_weight_and_the_blend_is_said_to_be_no_better(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(place, "binary")
    predict(tiny.NAME, noise)
    predict("other", right)
    assert main(["blend", BLENDED]) == 0
    values = report()
    assert [each["weight"] for each in values["members"].values()] == [0, 1]
    assert values["best_member"] == "other"
    assert values["better"] is False
    assert "not better out of fold than other alone: submit that one" in capsys.readouterr().out
    for part in ("valid", "test"):
        for fold in (0, 1):
            blend = read_context(BLENDED).paths.predictions(part, fold)
            member = read_context("other").paths.predictions(part, fold)
            (one,), (other,) = Predictions(blend), Predictions(member)
            assert (one.probabilities == other.probabilities).all()


@pytest.mark.parametrize("method", ["convex", "mean", "rank", "stack"])
def test_each_method_blends_labels(place: Path, method: str) -> None:
    project(place, "binary", method, data={"metric": "roc_auc"})
    predict(tiny.NAME, wrong_on(0))
    predict("other", wrong_on(1))
    assert main(["blend", BLENDED]) == 0
    assert report()["score"] == 1
    assert ("weight" in report()["members"]["other"]) == (method in ("convex", "mean"))


def test_a_fold_s_own_answers_do_not_move_its_predictions(place: Path) -> None:
    """The first member is right on fold 0 alone: fold 0 is not blended by what it says there."""
    project(place, "regression")
    index = read_index(*(read_context(tiny.NAME).paths.index, read_context(tiny.NAME).paths.card))
    train, _ = read_train(read_context(tiny.NAME).paths, index)
    folds = train["fold"].to_numpy()

    def by_heart(truth: Array, numbers: Array) -> Array:
        is_known = (folds[numbers] == 0)[:, None] if len(truth) != tiny.TEST else True
        return np.where(is_known, truth, truth + 100)

    predict(tiny.NAME, by_heart)
    predict("other", lambda truth, _: truth + 1)
    assert main(["blend", BLENDED]) == 0
    (own,) = Predictions(read_context(BLENDED).paths.predictions("valid", 0))
    (honest,) = Predictions(read_context("other").paths.predictions("valid", 0))
    assert own.probabilities == pytest.approx(honest.probabilities)


def test_fold_all_is_blended_by_what_all_numbered_folds_say(place: Path) -> None:
    project(place, "regression")

    def with_all(params: dict[str, Any]) -> None:
        params["folds"] = [0, 1, "all"]
        for name in (tiny.NAME, "other"):
            params[name]["train"]["select"] = "last"

    tiny.edit(place, with_all)
    predict(tiny.NAME, lambda truth, _: truth + 3)
    predict("other", lambda truth, _: truth - 1)
    assert main(["blend", BLENDED]) == 0
    paths = read_context(BLENDED).paths
    (batch,) = Predictions(paths.predictions("test", "all"))
    assert batch.probabilities == pytest.approx(0, abs=0.05)  # a quarter of 3, the rest of -1


def test_a_second_run_makes_the_same_bytes(place: Path) -> None:
    project(place, "masks")
    predict(tiny.NAME, wrong_on(0))
    predict("other", noise)
    assert main(["blend", BLENDED]) == 0
    before = tiny.tree(place)
    assert main(["blend", BLENDED]) == 0
    assert tiny.tree(place) == before
    assert any(path.startswith(f"data/blends/{BLENDED}/test/") for path in before)


@pytest.mark.parametrize(("min_area", "height", "new"), [(0, 32, 0), (1, 32, 1), (0, 40, 1)])
def test_the_counts_of_a_member_s_masks_stay(
    place: Path, min_area: int, height: int, new: int
) -> None:
    """The first member's `evaluate` counts here; an edited threshold of the other's does later."""
    project(place, "masks")

    def change(params: dict[str, Any]) -> None:
        params["other"]["evaluate"] |= {"min_area": min_area}
        params["other"]["preprocess"] |= {"height": height, "width": 32 if height == 32 else 48}

    tiny.edit(place, change)
    assert main(["preprocess", "other"]) == 0
    predict(tiny.NAME, wrong_on(0))
    predict("other", wrong_on(1))
    assert main(["evaluate", "other"]) == 0
    before = set(Path(".darkroom").glob("other.evaluate.*"))
    assert len(before) == 1
    assert main(["blend", BLENDED]) == 0
    assert set(Path(".darkroom").glob("other.evaluate.*")) == before
    own = [path.name.rpartition(".")[0] for path in Path(".darkroom").glob("both.*evaluate.*")]
    assert sorted(own) == ["both.evaluate", *["both.other.evaluate"] * new]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["blend", tiny.NAME], f"{tiny.NAME} is no blend"),
        (["evaluate", BLENDED], f"run `darkroom blend {BLENDED}`: all else is done by its members"),
        (["blend", "bot"], f"did you mean '{BLENDED}'?"),
        (["blend", "--stage", "blend@blend1"], "there is no such stage"),
    ],
)
def test_a_name_that_is_no_blend(
    place: Path, capsys: pytest.CaptureFixture[str], command: list[str], words: str
) -> None:
    project(place, "binary")
    capsys.readouterr()
    assert main(command) == 2
    assert words in capsys.readouterr().err


def test_dvc_s_name_of_a_blend(place: Path) -> None:
    project(place, "binary")
    for name in (tiny.NAME, "other"):
        predict(name, right)
    assert main(["blend", "--stage", "blend@blend0"]) == 0
    assert Path(f"data/stamps/blend={BLENDED}.stamp").is_file()


def test_a_member_that_has_not_predicted_is_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(place, "binary")
    predict(tiny.NAME, right)
    assert main(["blend", BLENDED]) == 6
    assert "run `dvc repro -s predict@other-0-valid`" in capsys.readouterr().err


def test_predictions_of_another_split_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(place, "binary")
    for name in (tiny.NAME, "other"):
        predict(name, right)
    tiny.edit(place, lambda params: params.update(seed=8))
    assert main(["split", tiny.NAME]) == 0
    assert main(["blend", BLENDED]) == 6
    words = capsys.readouterr().err
    assert "these predictions are of another split" in words
    assert "run `dvc repro -s predict@tiny-0-valid`" in words
    predict(tiny.NAME, right)
    assert main(["blend", BLENDED]) == 6  # the other's split is as it was: predicting won't help
    assert "so that tiny and other have the same rows and split" in capsys.readouterr().err

"""Perfect predictions of drawn contests: their judges accept the file, and so does `check`.

`check` refuses what the judges refuse, and accepts the contest's own sample.
"""

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from darkroom.images import rle
from darkroom.images.rle import Runs
from darkroom.index.card import Card, answer_columns
from darkroom.prediction.decision import Decision
from darkroom.submission.cell_checks import Known
from darkroom.submission.cells import row_encoder
from darkroom.submission.check import Report, check_submission
from darkroom.submission.form import cell_content, label_texts
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.specs import get_metric
from tests.support.contests import CONTESTS, needs_contests

pytestmark = [needs_contests, pytest.mark.slow]

GRADES = ("0", "1", "2", "3", "4")
DOWN = Runs("column")
IMAGE_CLASS = ("{id}_{label}",)
WITHOUT = Decision(None)  # without a threshold


@dataclass(frozen=True)
class Form:
    """How a contest is described by hand: a card without its header, a metric and a decision."""

    card: Card
    metric: str = ""
    decision: Decision = WITHOUT
    size: tuple[int, int] = (1, 1)


def classes(names: Any, metric: str = "accuracy") -> Form:
    return Form(Card("multiclass", ("y",), tuple(map(str, names))), metric)


def labels(names: Any, metric: str, **options: Any) -> Form:
    return Form(Card("multilabel", tuple(map(str, names)), **options), metric, Decision(0.5))


def masks(size: tuple[int, int], names: Any = (), metric: str = "dice", **options: Any) -> Form:
    card = Card("segmentation", tuple(names), **{"runs": DOWN} | options)
    return Form(card, metric, Decision(0.5), size)


YES_OR_NO = Card("binary", ("y",))
CUTS = Decision(None, cuts=(0.5, 1.5, 2.5, 3.5))

FORMS: dict[str, Callable[[ModuleType, Path], Form]] = {
    "airbus": lambda it, _: masks(it.SHAPE, metric="f2_iou"),
    "aptos": lambda _, __: Form(Card("regression", ("y",)), "quadratic_kappa", CUTS),
    "cactus": lambda _, __: Form(YES_OR_NO, "roc_auc", Decision(0.5)),
    "camvid": lambda it, _: masks(
        it.SHAPE,
        it.CLASSES,
        "mean_iou",
        keys=IMAGE_CLASS,
        values=(*enumerate(it.CLASSES), (255, None)),
    ),
    "cassava_parquet": lambda _, __: classes(GRADES),
    "cifar10": lambda it, _: classes(it.CLASSES),
    "clouds": lambda it, _: masks(
        it.SHAPE, it.LABELS, keys=IMAGE_CLASS, runs=replace(DOWN, size=it.ASKED)
    ),
    "csiro": lambda it, _: Form(
        Card("regression", tuple(it.WEIGHTS), keys=("{id}__{label}",)), "weighted_r2"
    ),
    "digits": lambda _, __: classes(range(10)),
    "dogs_vs_cats": lambda _, __: Form(YES_OR_NO, "log_loss", Decision(0.5)),
    "dsb2018": lambda it, _: masks(it.SHAPE, metric="iou_precision"),
    "humpback": lambda _, raw: classes(sorted(set(pd.read_csv(raw / "train.csv").Id)), "map@5"),
    "inaturalist_2019": lambda it, _: classes(it.CATEGORIES),
    "intel_scenes": lambda it, _: classes(it.CLASSES),
    "iwildcam_2019": lambda it, _: classes(it.CATEGORIES, "macro_f1"),
    "pawpularity": lambda _, __: Form(Card("regression", ("y",)), "rmse"),
    "planet": lambda it, _: labels([*it.WEATHER, *it.LAND], "samples_f2"),
    "plant_pathology_2020": lambda it, _: classes(it.COLUMNS, "mean_column_auc"),
    "plant_pathology_2021": lambda it, _: labels(["healthy", *it.DISEASES], "samples_f1"),
    "protein_atlas": lambda it, _: labels(it.LABELS, "macro_f1"),
    "retinopathy": lambda _, __: replace(classes(GRADES, "quadratic_kappa"), decision=CUTS),
    "rsna_haemorrhage": lambda it, _: labels(it.KINDS, "weighted_log_loss", keys=IMAGE_CLASS),
    "seedlings": lambda it, _: classes(it.SPECIES),
    "seti": lambda _, __: Form(YES_OR_NO, "roc_auc", Decision(0.5)),
    "severstal": lambda it, _: masks(it.SHAPE, "1234", keys=IMAGE_CLASS),
    "siim_pneumothorax": lambda it, _: masks(
        it.SHAPE, runs=Runs("column", 0, relative=True, empty="-1")
    ),
    "sorghum": lambda it, _: classes(it.CULTIVARS),
    "state_farm": lambda it, _: classes(it.CLASSES, "log_loss"),
    "uw_madison": lambda it, _: masks(
        it.SHAPE, it.CLASSES, "dice_hausdorff", keys=("{id}", "{label}")
    ),
}


def contest(name: str) -> ModuleType:
    """Import a module of the contests' folder."""
    if str(CONTESTS) not in sys.path:
        sys.path.insert(0, str(CONTESTS))
    return importlib.import_module(name)


def ids_and_labels(card: Card, truth: pd.DataFrame) -> pd.DataFrame:
    """Return a truth with columns `_id` and `_label` before it, by the templates of its keys."""
    rows = truth.copy()
    rows.insert(0, "_label", "")
    rows.insert(0, "_id", "")
    names = "|".join(map(re.escape, label_texts(card))) or "-"
    for number, key in enumerate(card.keys):
        pattern = re.escape(key).replace(r"\{id\}", "(?P<_id>.*)")
        cells = truth.iloc[:, number].str.extract(
            pattern.replace(r"\{label\}", f"(?P<_label>{names})") + "$"
        )
        for column in cells:
            rows[column] = cells[column]
    return rows


def perfect(form: Form, rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return predictions of one image that are its true rows: (K,), or (K, h, w) for masks."""
    card, outputs = form.card, label_texts(form.card)
    cells = rows.iloc[:, 2 + len(card.keys) :]
    content = cell_content(card, get_metric(form.metric, card.task))
    if content == "runs":
        height, width = card.runs.size or form.size
        planes = np.zeros((card.planes, height, width), np.float32)
        for label, text in zip(rows._label, cells.iloc[:, 0], strict=True):
            bounds = rle.bounds_from_text(text, height * width, card.runs)
            plane = outputs.index(label) if card.long else 0
            planes[plane] += rle.mask_from_bounds(bounds, height, width, card.runs.order)
        factor = form.size[0] // height  # of the image to its submission's mask
        return planes.repeat(factor, axis=1).repeat(factor, axis=2)
    if card.long:
        return (
            cells.iloc[:, 0].astype(np.float32).to_numpy()[[*map(list(rows._label).index, outputs)]]
        )
    (row,) = cells.to_numpy()
    if content in ("class", "ranking"):
        return np.array([name == row[0] for name in outputs], np.float32)
    if content == "labels":
        return np.array([name in row[0].split() for name in outputs], np.float32)
    numbers = np.zeros(len(card.outputs), np.float32)
    numbers[answer_columns(card)] = row.astype(np.float32)
    return numbers


@dataclass(frozen=True)
class Entry:
    """A contest that was drawn, and the perfect answer to it as we write it."""

    it: ModuleType
    folder: Path
    form: Form
    ids: list[str]
    path: Path

    def check(self, path: Path, *, ours: bool = False) -> Report:
        card, metric = self.form.card, get_metric(self.form.metric, self.form.card.task)
        sizes = dict.fromkeys(self.ids, self.form.size)
        cells: set[str] = set()
        if self.it.SAMPLE and not ours:
            sample = pd.read_csv(self.folder / "raw" / self.it.SAMPLE, dtype=str, na_filter=False)
            cells = set(sample.iloc[:, len(card.keys) :].to_numpy().ravel())
        known = Known(sizes, GRADES, cells)
        return check_submission(path, card, metric, self.ids, known, ours=ours)


@pytest.fixture(
    params=[
        pytest.param((name, seed), id=f"{name}-{seed}", marks=[pytest.mark.long] if seed else [])
        for name in FORMS
        for seed in range(3)
    ]
)
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> Entry:
    name, seed = request.param
    if importlib.util.find_spec("pydicom" if name == "rsna_haemorrhage" else "py7zr") is None:
        pytest.skip(f"{name} is drawn with a package that is not installed")
    it = contest(name)
    it.draw(tmp_path, seed)
    form = FORMS[name](it, tmp_path / "raw")
    truth = pd.read_csv(tmp_path / "answers/truth.csv", dtype=str, na_filter=False)
    form = replace(form, card=replace(form.card, header=tuple(truth.columns)))
    rows = ids_and_labels(form.card, truth)
    ids = list(dict.fromkeys(rows._id))
    predictions = np.stack([perfect(form, some) for _, some in rows.groupby("_id", sort=False)])
    metric = get_metric(form.metric, form.card.task)
    encode = row_encoder(form.card, metric, form.decision, "stretch")
    path = tmp_path / "ours.csv.gz"
    with Writer(path, form.card.header) as writer:
        for some in encode(ids, predictions, [form.size] * len(ids)):
            writer.write_lines(writer.lines(some), 1)
    return Entry(it, tmp_path, form, ids, path)


def test_a_judge_gives_the_best_score_and_the_check_agrees_with_the_judge(entry: Entry) -> None:
    it, answers = entry.it, entry.folder / "answers"
    score = it.judge(entry.path, answers)
    assert score == pytest.approx(1 if it.better == "max" else 0, abs=1e-6)
    assert entry.check(entry.path, ours=True).faults == ()
    if it.SAMPLE:
        sample = pd.read_csv(entry.folder / "raw" / it.SAMPLE, dtype=str, na_filter=False)
        sample.to_csv(entry.folder / "sample.csv", index=False)  # it may be packed
        assert entry.check(entry.folder / "sample.csv").faults == ()
    ours = pd.read_csv(entry.path, dtype=str, na_filter=False)
    mixed = entry.folder / "mixed.csv"
    ours.sample(frac=1, random_state=0)[ours.columns[::-1]].to_csv(mixed, index=False)
    assert entry.check(mixed).faults == ()

    refused = contest("kit").Refused
    for fault, rows in contest("test_contests").wrong(it, ours).items():
        path = entry.folder / "wrong.csv"
        rows.to_csv(path, index=False)
        with pytest.raises(refused):
            it.judge(path, answers)
        assert entry.check(path).faults, fault

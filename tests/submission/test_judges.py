"""Perfect predictions of drawn contests, described by their recipes: the judge accepts the file.

`check` refuses what the judges refuse, and accepts the contest's own sample.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from benchmarks import contests
from darkroom.images import rle
from darkroom.index.assembly.build import build_index
from darkroom.index.card import Card, answer_columns
from darkroom.params import file as paramfile
from darkroom.prediction.decision import Decision
from darkroom.raw.archives import Archives
from darkroom.submission.cell_checks import Limits
from darkroom.submission.cells import row_encoder
from darkroom.submission.check import Report, check_submission
from darkroom.submission.form import cell_content, label_texts
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.specs import MetricSpec, get_metric
from tests.support.contests import needs_contests

pytestmark = [needs_contests, pytest.mark.slow]

GRADES = ("0", "1", "2", "3", "4")
CUTS = (0.5, 1.5, 2.5, 3.5)
PACKAGES = {"rsna_haemorrhage": ["pydicom"], "planet": ["py7zr"], "cifar10": ["py7zr"]}


@dataclass(frozen=True)
class Form:
    """What a contest's recipe and raw files say, and how answers are decided.

    Attributes:
        card: Of the index.
        ids: Of the test set, as the index has them.
        metric: What the judge counts.
        decision: One that leaves perfect predictions perfect.
        size: Of the images with masks: height and width, px.
    """

    card: Card
    ids: list[str]
    metric: MetricSpec
    decision: Decision
    size: tuple[int, int]


def described(it: ModuleType, folder: Path) -> Form:
    """Return the form of a drawn contest, as its recipe describes it."""
    name = it.NAME
    changes = contests.DRAWN_OTHERWISE.get(name, {})
    params = contests.parameters(contests.RECIPE_OF[name], folder / "raw", changes)
    (section,) = params["competitions"]
    data = paramfile.validate_params(params).section(section).data
    index = build_index(Archives(folder / "raw", folder / "unpacked"), data)
    card, ids = index.card, index.rows.loc[index.rows["part"] == "test", "id"].tolist()
    threshold = None if card.task in ("multiclass", "regression") else 0.5
    cuts = CUTS if card.metric == "quadratic_kappa" else ()
    metric = get_metric(card.metric, card.task)
    size = getattr(it, "SHAPE", (1, 1))
    return Form(card, ids, metric, Decision(threshold, cuts=cuts), size)


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
    content = cell_content(card, form.metric)
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
    path: Path

    def check(self, path: Path, *, ours: bool = False) -> Report:
        form, card = self.form, self.form.card
        sizes = dict.fromkeys(form.ids, form.size)
        limits = Limits(sizes, GRADES)
        return check_submission(path, card, form.metric, form.ids, limits, ours=ours)


@pytest.fixture(
    params=[
        pytest.param((name, seed), id=f"{name}-{seed}", marks=[pytest.mark.long] if seed else [])
        for name in contests.contest_names()
        for seed in range(3)
    ]
)
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> Entry:
    name, seed = request.param
    for package in PACKAGES.get(name, ()):
        pytest.importorskip(package)
    it = contests.load_contest(name)
    it.draw(tmp_path, seed)
    form = described(it, tmp_path)
    truth = pd.read_csv(tmp_path / "answers/truth.csv", dtype=str, na_filter=False)
    images = dict(list(ids_and_labels(form.card, truth).groupby("_id")))
    predictions = np.stack([perfect(form, images[image_id]) for image_id in form.ids])
    path = tmp_path / "ours.csv.gz"
    encode = row_encoder(form.card, form.metric, form.decision, "stretch")
    with Writer(path, form.card.header) as writer:
        for rows in encode(form.ids, predictions, [form.size] * len(form.ids)):
            writer.write_lines(writer.lines(rows), 1)
    return Entry(it, tmp_path, form, path)


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

    refused = contests.load_contest("kit").Refused
    for fault, rows in contests.load_contest("test_contests").wrong(it, ours).items():
        path = entry.folder / "wrong.csv"
        rows.to_csv(path, index=False)
        with pytest.raises(refused):
            it.judge(path, answers)
        assert entry.check(path).faults, fault

"""Perfect predictions of drawn contests, described by their recipes: the judge accepts the file.

`check` refuses what the judges refuse, and accepts the contest's own sample.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

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
from darkroom.raw.tables import read_table
from darkroom.submission.cell_checks import Limits, training_limits
from darkroom.submission.cells import row_encoder
from darkroom.submission.check import Report, check_submission
from darkroom.submission.form import cell_content, label_texts
from darkroom.submission.sample import unlike_answers
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.specs import MetricSpec, get_metric
from tests.support.contests import needs_contests
from tests.support.imitations import IMITATIONS, SHAPE, RefusedError, Rows

pytestmark = pytest.mark.slow

CUTS = (0.5, 1.5, 2.5, 3.5)
ODD_CELLS = (
    *("", " ", "nan", "inf", "-1", "0", "1", "0.5", "1.5", "100", "50%", "1e400", "true", "None"),
    *("0 1", "1 0", "1 1", "0 0", "1 1 1 1", "2 1 1 1", "1 -1", "1.0 2", "3 4 5", "1 99999999"),
    *("a b", "x", "-", "0x1", "0.5 0.5", "'0'", "1;1", "1,1", "1 1,3 1"),
)
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
        limits: Of training, and of the images with masks.
        unlike: Answers of the sample, if none is like what is written.
    """

    card: Card
    ids: list[str]
    metric: MetricSpec
    decision: Decision
    size: tuple[int, int]
    limits: Limits
    unlike: int


def described(
    recipe: str,
    folder: Path,
    size: tuple[int, int],
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Form:
    """Return the form of a drawn contest, as its recipe describes it."""
    params = contests.parameters(recipe, folder / "raw", changes)
    (section,) = params["competitions"]
    data = paramfile.validate_params(params).section(section).data
    archives = Archives(folder / "raw", folder / "unpacked")
    index = build_index(archives, data)
    card, ids = index.card, index.rows.loc[index.rows["part"] == "test", "id"].tolist()
    threshold = None if card.task in ("multiclass", "regression") else 0.5
    cuts = CUTS if card.metric == "quadratic_kappa" else ()
    metric = get_metric(card.metric, card.task)
    limits = training_limits(card, cell_content(card, metric), index.rows)
    sample = None if data.like is None else read_table(archives, data.like)
    unlike = 0 if sample is None else unlike_answers(card, metric, sample, limits)
    limits = replace(limits, sizes=dict.fromkeys(ids, size))
    return Form(card, ids, metric, Decision(threshold, cuts=cuts), size, limits, unlike)


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


def write_perfect(form: Form, truth: pd.DataFrame, path: Path) -> None:
    """Write the submission of predictions that are the truth."""
    images = dict(list(ids_and_labels(form.card, truth).groupby("_id")))
    predictions = np.stack([perfect(form, images[image_id]) for image_id in form.ids])
    encode = row_encoder(form.card, form.metric, form.decision, "stretch")
    with Writer(path, form.card.header) as writer:
        for rows in encode(form.ids, predictions, [form.size] * len(form.ids)):
            writer.write_lines(writer.lines(rows), 1)


def check(form: Form, path: Path, *, ours: bool = False) -> Report:
    """Return what `check` says of a file."""
    return check_submission(path, form.card, form.metric, form.ids, form.limits, ours=ours)


def with_cell(rows: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Return rows with another last cell in the first of them."""
    last = rows.columns[-1]
    return rows.assign(**{last: [cell, *rows[last][1:]]})


@dataclass(frozen=True)
class Entry:
    """A contest that was drawn, and the perfect answer to it as we write it."""

    it: ModuleType
    folder: Path
    form: Form
    path: Path


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
    changes = contests.DRAWN_OTHERWISE.get(name, {})
    form = described(contests.RECIPE_OF[name], tmp_path, getattr(it, "SHAPE", (1, 1)), changes)
    truth = pd.read_csv(tmp_path / "answers/truth.csv", dtype=str, na_filter=False)
    path = tmp_path / "ours.csv.gz"
    write_perfect(form, truth, path)
    return Entry(it, tmp_path, form, path)


@needs_contests
def test_a_judge_gives_the_best_score_and_the_check_agrees_with_the_judge(entry: Entry) -> None:
    it, form, answers = entry.it, entry.form, entry.folder / "answers"
    score = it.judge(entry.path, answers)
    assert score == pytest.approx(1 if it.better == "max" else 0, abs=1e-6)
    assert check(form, entry.path, ours=True).faults == ()
    # A class of iNaturalist's sample is none of the few that were drawn.
    assert bool(form.unlike) == (it.NAME == "inaturalist_2019")
    if it.SAMPLE:
        sample = pd.read_csv(entry.folder / "raw" / it.SAMPLE, dtype=str, na_filter=False)
        sample.to_csv(entry.folder / "sample.csv", index=False)  # it may be packed
        report = check(form, entry.folder / "sample.csv")
        assert report.faults == ()
        assert report.is_sample == bool(form.card.sample)  # not every recipe needs it
    ours = pd.read_csv(entry.path, dtype=str, na_filter=False)
    mixed = entry.folder / "mixed.csv"
    ours.sample(frac=1, random_state=0)[ours.columns[::-1]].to_csv(mixed, index=False)
    assert check(form, mixed).faults == ()

    refused = contests.load_contest("kit").Refused
    path = entry.folder / "wrong.csv"
    for fault, rows in contests.load_contest("test_contests").wrong(it, ours).items():
        rows.to_csv(path, index=False)
        with pytest.raises(refused):
            it.judge(path, answers)
        assert check(form, path).faults, fault
    for cell in ODD_CELLS:
        with_cell(ours, cell).to_csv(path, index=False)
        try:
            it.judge(path, answers)
        except refused:
            assert check(form, path).faults, cell


@pytest.mark.parametrize("recipe", IMITATIONS)
def test_the_check_agrees_with_the_rules_of_real_competitions(tmp_path: Path, recipe: str) -> None:
    it = IMITATIONS[recipe]
    truth = it.draw(tmp_path / "raw", np.random.default_rng(3))
    form = described(recipe, tmp_path, SHAPE)
    table = pd.DataFrame(
        [[name, *cells] for name, cells in truth.items()], columns=form.card.header
    )
    path = tmp_path / "ours.csv.gz"
    write_perfect(form, table, path)
    ours = pd.read_csv(path, dtype=str, na_filter=False)
    assert it.grade(by_id(ours), truth) == pytest.approx(1 if it.best == "max" else 0, abs=1e-6)
    assert check(form, path, ours=True).faults == ()
    (sample,) = (tmp_path / "raw").glob("sample_submission.csv*")  # it may be packed
    wrong = tmp_path / "wrong.csv"
    pd.read_csv(sample, dtype=str, na_filter=False).to_csv(wrong, index=False)
    assert check(form, wrong).is_sample
    for cell in ODD_CELLS:
        rows = with_cell(ours, cell)
        rows.to_csv(wrong, index=False)
        try:
            it.grade(by_id(rows), truth)
        except (RefusedError, ValueError):
            report = check(form, wrong)
            # Not every judge refuses sums other than 1: they are warned of.
            odd_sum = any("do not sum to 1" in warning for warning in report.warnings)
            assert report.faults or odd_sum, cell


def by_id(rows: pd.DataFrame) -> Rows:
    """Return the cells after the id, by id."""
    return {name: list(cells) for name, *cells in rows.to_numpy().tolist()}

"""Whatever a network says, what is written of it passes the check, for any form of submission."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.images.rle import Runs
from darkroom.index.card import Card, check_card
from darkroom.index.table import COLUMNS
from darkroom.prediction.decision import Decision
from darkroom.submission.cell_checks import Limits
from darkroom.submission.cells import legal_values, row_encoder
from darkroom.submission.check import check_submission
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.specs import get_metric

NAMES = ("b", "a, c", "id_target")
LONG, TWO_KEYS = ("{id}_{label}",), ("{label}", "{id}")
PLANES = ("x", "y")
VALUES = ((0, "x"), (1, "y"))

FORMS = {
    "a class": (Card("multiclass", ("y",), NAMES, header=("id", "y")), "accuracy"),
    "classes as flags": (Card("multiclass", ("y",), NAMES, header=("id", *NAMES)), "macro_f1"),
    "shares of classes": (Card("multiclass", ("y",), NAMES, header=("id", *NAMES)), "log_loss"),
    "a ranking": (Card("multiclass", ("y",), ("p", "q", "r"), header=("id", "y")), "map@2"),
    "a scored label": (Card("multiclass", ("y",), ("p", "q", "r"), header=("id", "y")), "gap"),
    "a grade": (Card("multiclass", ("y",), ("p", "q", "r"), header=("id", "y")), "quadratic_kappa"),
    "labels": (Card("multilabel", NAMES, header=("x", "y"), separator=";"), "samples_f1"),
    "flags": (Card("multilabel", NAMES, header=("x", "id", "b", "a, c")), "accuracy"),
    "rows of labels": (Card("multilabel", NAMES, header=("x", "y"), keys=LONG), "mean_column_auc"),
    "yes or no": (
        Card("binary", ("y",), header=("id", "y"), label_values=("no", "yes")),
        "accuracy",
    ),
    "a probability": (Card("binary", ("y",), header=("id", "y")), "roc_auc"),
    "numbers": (Card("regression", NAMES, header=("x", *NAMES)), "mcrmse"),
    "rows of numbers": (Card("regression", NAMES, header=("l", "i", "y"), keys=TWO_KEYS), "rmsle"),
    "a mask": (Card("segmentation", header=("id", "rle")), "dice"),
    "rows of masks": (Card("segmentation", PLANES, header=("id", "rle"), keys=LONG), "dice"),
    "columns of masks": (Card("segmentation", PLANES, header=("id", "y", "x")), "iou"),
    "exclusive masks": (
        Card("segmentation", PLANES, header=("id", "rle"), keys=LONG, values=VALUES),
        "mean_iou",
    ),
    "objects": (Card("segmentation", header=("id", "rle")), "iou_precision"),
    "rows of objects": (Card("segmentation", PLANES, header=("id", "x"), keys=LONG), "f2_iou"),
}
SIZES = [(9, 7), (4, 12), (1, 1)]


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    runs=st.builds(
        Runs,
        st.sampled_from(["row", "column"]),
        st.sampled_from([0, 1]),
        st.booleans(),
        st.sampled_from(["", "-1", "1 0"]),
        st.sampled_from([None, (5, 3)]),
    ),
    threshold=st.sampled_from([1 / 256, 0.3, 0.7]),
    cleaned=st.booleans(),
)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_passes_the_check(
    form: str, seed: int, runs: Runs, threshold: float, cleaned: bool
) -> None:
    card, name = FORMS[form]
    card = Card(**{**vars(card), "runs": runs, "metric": name})
    check_card(card, COLUMNS)
    metric = get_metric(name, card.task)
    rng = np.random.default_rng(seed)
    has_threshold = card.task not in ("multiclass", "regression")
    decision = Decision(
        threshold if has_threshold else None,
        at_least_one=True,
        cuts=(0.4, 1.1) if name == "quadratic_kappa" else (),
        min_area=3 * cleaned,
        fill_holes=cleaned,
        separate=cleaned,
        largest=cleaned,
    )
    shape = (3, card.planes, 6, 6) if card.task == "segmentation" else (3, len(card.outputs))
    predictions = rng.random(shape, np.float32)
    if card.exclusive or card.task == "multiclass":
        predictions /= predictions.sum(axis=1, keepdims=True)
    if card.task == "regression":
        predictions = (rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 9)).astype(np.float32)
    values, _ = legal_values(predictions, metric)
    ids = ["1", "two, three", 'a "quote"']
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv.gz"
        with Writer(path, card.header) as writer:
            for rows in row_encoder(card, metric, decision, "stretch")(ids, values, SIZES):
                writer.write_lines(writer.lines(rows), 1)
        limits = Limits(dict(zip(ids, SIZES, strict=True)))
        report = check_submission(path, card, metric, ids, limits)
        assert report.faults == ()
        assert report.rows >= len(ids)

"""Curves of precision and recall: counted by hand, against scikit-learn, however batched."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import precision_score, recall_score
from tensorboard.util import tensor_util

from darkroom.tasks.table import TASKS
from darkroom.training.tensorboard.curves import Curves, curve, histogram
from tests.training.tensorboard.rig import batch, loop, read, validate, writer


def test_counted_by_hand() -> None:
    probabilities = torch.tensor([[0.0], [0.3], [0.5], [0.5], [1.0]])
    truth = torch.tensor([[0], [1], [0], [1], [1]])
    counts = histogram(probabilities, truth, 2)  # bins: below 0.5, below 1, 1
    assert counts.tolist() == [[[1, 1, 0], [1, 1, 1]]]
    true, false, right, missed, precision, recall = curve(counts[0].numpy()).tolist()
    assert (true, false, right, missed) == ([3, 2, 1], [2, 1, 0], [0, 1, 2], [0, 1, 2])
    assert precision == [0.6, 2 / 3, 1]
    assert recall == pytest.approx([1, 2 / 3, 1 / 3])


def test_where_nothing_is_found_or_present() -> None:
    rows = curve(np.array([[3, 1, 0], [0, 0, 0]]))
    assert rows[4].tolist() == [0, 0, 1], "no claim, no false one"
    assert rows[5].tolist() == [0, 0, 0]


def test_as_scikit_learn_has_it() -> None:
    rng = np.random.default_rng(1)
    probabilities, truth = rng.random((500, 3)), rng.integers(0, 2, (500, 3))
    counts = histogram(torch.tensor(probabilities), torch.tensor(truth), 64).numpy()
    for label in range(3):
        rows = curve(counts[label])
        for place in (0, 7, 32, 60):
            said = probabilities[:, label].astype(np.float32) >= place / 64
            assert rows[4, place] == pytest.approx(precision_score(truth[:, label], said))
            assert rows[5, place] == pytest.approx(recall_score(truth[:, label], said))


def drawn(folder: Path, task: str, names: tuple[str, ...], sizes: list[int]) -> dict[str, object]:
    """Return the tags and data of one validation of 12 images, in batches of these sizes."""
    torch.manual_seed(3)
    log = writer(folder)
    found = torch.rand(12, 1, 4, 5) if task == "segmentation" else torch.rand(12, 3)
    truth = torch.rand(12, 1, 4, 5) > 0.5 if task == "segmentation" else torch.rand(12, 3) > 0.5
    targets = torch.arange(12) % 3 if task == "multiclass" else truth.to(torch.uint8)
    parts = zip(torch.split(targets, sizes), torch.split(found, sizes), strict=True)
    curves = Curves(log, TASKS[task], names)
    validate(curves, loop(task), *((batch(t), p) for t, p in parts))
    events = read(log)
    return {
        tag: tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto).tolist()
        for tag in events.Tags()["tensors"]
        if events.Tensors(tag)[0].step == 7
    }


@pytest.mark.parametrize(
    ("task", "names", "expected", "thresholds"),
    [
        ("segmentation", (), ["pixels"], 257),
        ("multilabel", ("Hat", "Young"), ["Hat", "Young", "2"], 65),
        ("multiclass", ("5", "10", "20"), ["5", "10", "20"], 65),
    ],
)
def test_a_curve_a_label_however_batched(
    tmp_path: Path, task: str, names: tuple[str, ...], expected: list[str], thresholds: int
) -> None:
    whole = drawn(tmp_path / "a", task, names, [12])
    assert list(whole) == [f"precision and recall/{name}" for name in expected]
    assert whole == drawn(tmp_path / "b", task, names, [5, 6, 1])
    for rows in whole.values():
        values: NDArray[np.float32] = np.array(rows)
        assert values.shape == (6, thresholds)
        everything = 12 * 20 if task == "segmentation" else 12
        assert (values[:4].sum(axis=0) == everything).all()


def test_of_very_many_labels_only_the_first(tmp_path: Path) -> None:
    log = writer(tmp_path)
    data = batch(torch.zeros(2, 70)), torch.rand(2, 70)
    validate(Curves(log, TASKS["multilabel"]), loop("multilabel"), data)
    assert len([tag for tag in read(log).Tags()["tensors"] if "precision" in tag]) == 64


def test_a_curve_a_mask_class_without_unknown_pixels(tmp_path: Path) -> None:
    log = writer(tmp_path)
    truth = torch.tensor([[[[1, 0, 1, 0]], [[0, 1, 1, 0]], [[0, 0, 1, 0]]]], dtype=torch.uint8)
    found = torch.tensor([[[[0.9, 0.2, 0.9, 0.1]], [[0.1, 0.4, 0.1, 0.6]]]])
    curves = Curves(log, TASKS["segmentation"], ("road", "car"))
    curves.on_validation_start(loop())
    curves.on_validation_batch(loop(), batch(truth), found)
    assert curves._counts is not None
    assert curves._counts.shape == (2, 2, 257)
    assert curves._counts.sum(dim=(1, 2)).tolist() == [3, 3]
    assert curves._counts[0, 1].nonzero().tolist() == [[230]], "0.9 of 256"
    curves.on_epoch_end(loop())
    tags = [tag for tag in read(log).Tags()["tensors"] if "precision" in tag]
    assert tags == ["precision and recall/road", "precision and recall/car"]

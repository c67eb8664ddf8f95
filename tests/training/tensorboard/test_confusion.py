"""What was taken for what: counted by hand, and drawn where it was counted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from darkroom.images import sheets
from darkroom.images.codec import decode_jpeg_fast
from darkroom.tasks.planes import MaskClasses
from darkroom.tasks.table import TASKS, get_task
from darkroom.training.tensorboard import tables
from darkroom.training.tensorboard.confusion import Confusion, count, picture
from tests.training.tensorboard.rig import batch, loop, read, validate, writer

CLASSES = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
LABELS = torch.tensor([[0.9, 0.1], [0.6, 0.2], [0.5, 0.7]])
MASKS = torch.tensor([[[[0.9, 0.2], [0.6, 0.5]]]])


@pytest.mark.parametrize(
    ("task", "found", "truth", "expected"),
    [
        ("multiclass", CLASSES, [0, 1, 2, 2], [[1, 0, 0], [0, 1, 0], [0, 1, 1]]),
        # One half is no: the first label has one right yes, one wrong yes, one missed.
        ("multilabel", LABELS, [[1, 0], [0, 0], [1, 1]], [[[0, 1], [1, 1]], [[2, 0], [0, 1]]]),
        ("segmentation", MASKS, [[[[1, 1], [0, 0]]]], [[[1, 1], [1, 1]]]),
    ],
)
def test_count(task: str, found: Tensor, truth: object, expected: object) -> None:
    assert count(TASKS[task], found, torch.tensor(truth)).tolist() == expected


def test_a_cell_has_the_colour_of_its_place_and_share() -> None:
    page = picture(TASKS["multiclass"], np.array([[4, 0], [4, 0]]), ("cat", "dog"))
    edge = sheets.MARGIN_PX + 84  # the last cell's far corner, then one cell back
    corners = [page[-y, -x].tolist() for y in (edge + 80, 100) for x in (edge + 80, 100)]
    right, empty, wrong, also_empty = corners
    assert right == list(sheets.RIGHT)
    assert wrong == list(sheets.EXCESS)
    assert empty == also_empty != right


def test_no_class_at_all_in_a_row() -> None:
    page = picture(TASKS["multiclass"], np.zeros((2, 2), np.int64), ())
    cells = page[-sheets.MARGIN_PX - 160 : -sheets.MARGIN_PX, -sheets.MARGIN_PX - 160 :]
    colours = set(map(tuple, cells.reshape(-1, 3).tolist()))
    assert tables.EMPTY in colours
    assert not colours & {sheets.RIGHT, sheets.EXCESS}


def test_a_bar_is_as_long_as_its_share() -> None:
    counts = np.array([[[2, 1], [0, 1]], [[4, 0], [0, 0]]])
    page = picture(TASKS["multilabel"], counts, ("Hat", "Young"))
    row = page[sheets.MARGIN_PX + 28 + 10]
    lengths = [
        int((row == colour).all(axis=1).sum())
        for colour in (sheets.RIGHT, sheets.EXCESS, sheets.MISSED)
    ]
    assert lengths == [pytest.approx(105, abs=2), pytest.approx(105, abs=2), 0]


def test_summed_over_batches(tmp_path: Path) -> None:
    events, parts = writer(tmp_path), zip(CLASSES[:, None], (0, 1, 2, 2), strict=True)
    data = [(batch(torch.tensor([truth])), found) for found, truth in parts]
    validate(Confusion(events, TASKS["multiclass"], ("a", "b", "c")), loop("multiclass"), *data)
    (event,) = read(events).Images("confusion")
    assert event.step == 7
    whole = picture(
        TASKS["multiclass"], np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]]), ("a", "b", "c")
    )
    drawn = decode_jpeg_fast(event.encoded_image_string)
    assert drawn.shape == whole.shape
    assert np.abs(drawn.astype(int) - whole).mean() < 3


def test_too_many_classes_for_a_picture(tmp_path: Path) -> None:
    events = writer(tmp_path)
    data = batch(torch.zeros(2, dtype=torch.int64)), torch.rand(2, 201)
    validate(Confusion(events, TASKS["multiclass"]), loop("multiclass"), data)
    confusion = Confusion(events, TASKS["multiclass"])
    many = batch(torch.zeros(2, dtype=torch.int64)), torch.rand(2, 1_000_000)
    confusion.on_validation_batch(loop("multiclass"), *many)  # 8 TB, were it counted
    assert confusion._counts is None
    assert read(events).Tags()["images"] == []
    picture(TASKS["multiclass"], np.ones((200, 200), np.int64), ())


@pytest.mark.parametrize("background", [True, False])
def test_exclusive_mask_classes_are_a_table_of_their_pixels(background: bool) -> None:
    task = get_task("segmentation", classes=MaskClasses(True, background))
    # Truth: a, b, none, unknown; found: a, a, b, b. Without a background none is unknown too.
    truth = torch.tensor([[[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 0, 1]]]])
    found = torch.tensor([[[[0.9, 0.7, 0.1, 0.0]], [[0.0, 0.2, 0.6, 0.9]]]])
    expected = [[0, 0, 1], [0, 1, 0], [0, 1, 0]] if background else [[1, 0], [1, 0]]
    counts = count(task, found, truth)
    assert counts.tolist() == expected
    page = picture(task, counts.numpy(), ("a", "b"))
    assert page.shape[0] > 0


def test_overlapping_mask_classes_are_a_bar_each_without_unknown_pixels() -> None:
    truth = torch.tensor([[[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 1]]]])
    found = torch.tensor([[[[0.9, 0.7, 0.9]], [[0.0, 0.8, 0.9]]]])
    counts = count(TASKS["segmentation"], found, truth)
    assert counts.tolist() == [[[0, 1], [0, 1]], [[0, 0], [1, 1]]]


def test_gaps_of_labels_are_not_counted() -> None:
    truth = torch.tensor([[1.0, torch.nan], [0.0, 1.0]])
    counts = count(TASKS["multilabel"], torch.full((2, 2), 0.9), truth)
    assert counts.tolist() == [[[0, 1], [0, 1]], [[0, 0], [0, 1]]]

"""Drawn banknotes against the layout of the real set."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.raw.sample import draw_banknotes
from tests.raw.sample.folders import digestible, untarred
from tests.support.realdata import REALDATA, needs_realdata

pytestmark = pytest.mark.slow  # full-size pictures are drawn

SUBSETS = ("training", "validation", "test")
EACH = 5  # pictures of each note in each subset; the real set has ten


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("banknotes")
    draw_banknotes(folder, 7, each=EACH)
    return folder


def test_files_and_members_are_named_like_the_real_ones(drawn: Path) -> None:
    names = [
        f"{subset}_{end}" for subset in SUBSETS for end in ("data_pytorch.tar.gz", "labels.csv")
    ]
    assert sorted(p.name for p in drawn.iterdir()) == sorted(names)
    for subset in SUBSETS:
        members = untarred(drawn / f"{subset}_data_pytorch.tar.gz")
        assert list(members) == [f"{subset}_data_pytorch/{n}.jpeg" for n in range(7 * EACH)]


def test_the_three_tables_are_one(drawn: Path) -> None:
    tables = {(drawn / f"{subset}_labels.csv").read_bytes() for subset in SUBSETS}
    assert len(tables) == 1
    lines = tables.pop().decode().split("\n")
    assert lines[:3] == [",denomination,filename,y", "0,5,0.jpeg,0", "1,5,1.jpeg,0"]
    assert lines[-2:] == ["34,500,34.jpeg,6", ""]


@needs_realdata
def test_the_tables_and_the_sizes_by_class_are_those_of_the_real_set(tmp_path: Path) -> None:
    draw_banknotes(tmp_path, 7)
    real = (REALDATA / "banknotes" / "test_labels.csv").read_bytes()
    assert (tmp_path / "test_labels.csv").read_bytes() == real
    name = "test_data_pytorch.tar.gz"
    pictures = untarred(tmp_path / name)
    for member, data in untarred(REALDATA / "banknotes" / name).items():
        ours = pictures[member]
        with Image.open(io.BytesIO(data)) as photograph, Image.open(io.BytesIO(ours)) as drawn_one:
            assert photograph.size == drawn_one.size


def test_every_picture_is_another(drawn: Path) -> None:
    pictures = [d for p in SUBSETS for d in untarred(drawn / f"{p}_data_pytorch.tar.gz").values()]
    assert len(set(pictures)) == len(SUBSETS) * 7 * EACH


def test_lighting_varies_so_that_colour_does_not_predict_the_class(drawn: Path) -> None:
    means = []
    for data in untarred(drawn / "training_data_pytorch.tar.gz").values():
        with Image.open(io.BytesIO(data)) as picture:
            means.append(np.asarray(picture, dtype=np.float64).mean(axis=(0, 1)))
    classes = np.asarray(means).reshape(7, EACH, 3)
    within, between = classes.std(axis=1).mean(), classes.mean(axis=1).std(axis=0).mean()
    assert within > 0.8 * between


def test_bytes_depend_on_the_seed_alone(tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()
    other.mkdir()
    one = tmp_path / "one"
    one.mkdir()
    draw_banknotes(one, 7, each=1)
    draw_banknotes(again, 7, each=1, workers=2)
    assert digestible(again) == digestible(one)
    draw_banknotes(other, 8, each=1)
    name = "training_data_pytorch.tar.gz"
    assert (other / name).read_bytes() != (one / name).read_bytes()

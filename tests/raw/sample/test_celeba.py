"""Drawn CelebA files against the layout of the official ones, to the byte."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from darkroom.raw.sample import draw_celeba
from darkroom.raw.sample.face.attributes import NAMES
from tests.raw.sample.folders import digestible, unzipped
from tests.support.realdata import REALDATA, needs_realdata

COUNT = 60


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("celeba")
    draw_celeba(folder, 7, images=COUNT)
    return folder


def test_files_and_members_are_named_like_the_real_ones(drawn: Path) -> None:
    assert sorted(p.name for p in drawn.iterdir()) == [
        "img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt",
    ]  # fmt: skip
    members = unzipped(drawn / "img_align_celeba.zip")
    assert list(members) == [f"img_align_celeba/{n:06d}.jpg" for n in range(1, COUNT + 1)]
    for data in members.values():
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (178, 218))
    assert len(set(members.values())) == COUNT


def test_the_attribute_list_is_padded_as_the_official_one(drawn: Path) -> None:
    lines = (drawn / "list_attr_celeba.txt").read_bytes().split(b"\r\n")
    assert lines[0] == b"60"
    assert lines[1] == " ".join(NAMES).encode() + b" "
    assert lines[-1] == b""
    rows = lines[2:-1]
    assert len(rows) == COUNT
    for number, row in enumerate(rows, 1):
        assert re.fullmatch(rb"%06d\.jpg (-1|1)( -1|  1){39}" % number, row)


def test_partitions_are_runs_of_80_10_and_10(drawn: Path) -> None:
    lines = (drawn / "list_eval_partition.txt").read_bytes().split(b"\r\n")
    parts = "0" * 48 + "1" * 6 + "2" * 6
    assert lines == [*(b"%06d.jpg %s" % (i, p.encode()) for i, p in enumerate(parts, 1)), b""]


@needs_realdata
def test_the_lists_look_like_the_real_lists(drawn: Path) -> None:
    def shape(text: bytes) -> bytes:
        return re.sub(rb" ( 1|-1)", b" ##", text.replace(b"jpg 1", b"jpg -1"))

    real, ours = (f / "list_attr_celeba.txt" for f in (REALDATA / "celeba", drawn))
    assert shape(real.read_bytes()) == shape(ours.read_bytes())


@pytest.mark.slow
def test_bytes_depend_on_the_seed_alone(drawn: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()
    other.mkdir()
    draw_celeba(again, 7, images=COUNT, workers=2)
    assert digestible(again) == digestible(drawn)
    draw_celeba(other, 8, images=COUNT)
    assert all(digestible(other)[n] != b for n, b in digestible(drawn).items() if "eval" not in n)


@pytest.mark.slow
def test_the_whole_set_has_a_thousand_faces_and_more(tmp_path: Path) -> None:
    draw_celeba(tmp_path, 7, workers=2)
    faces = unzipped(tmp_path / "img_align_celeba.zip")
    assert len(faces) == len(set(faces.values())) == 1000

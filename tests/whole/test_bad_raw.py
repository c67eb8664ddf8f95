"""Bad raw files: refused by the stage that reads them, all that stood before untouched."""

from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.damage import (
    HTML,
    PAPER,
    VALUES,
    Case,
    Project,
    check_case,
    contents,
    cut,
    members,
    parametrize,
    params,
    put,
    remove,
    rename,
    replace,
)
from tests.support.packed import tar_of


def cut_member(root: Path) -> None:
    data = contents(root, "train.zip")["train/003.png"]
    members("train.zip", {"train/003.png": data[: len(data) // 2]})(root)


def several(root: Path) -> None:
    members("train.zip", {"train/001.png": HTML, "train/002.png": b"\x89PNG"})(root)
    members("masks.zip", {"004_mask.png": tiny.png(PAPER)})(root)


def in_a_tar(root: Path) -> None:
    """Deliver the training images as a tar with a member that leads out of it."""
    images = contents(root, "train.zip")
    tar_of(root / "source/train.tar", {**images, "train/../../x.png": b"x"})
    params("data", train={"image": "train.tar/train/{image}.png"})(root)


@parametrize(
    Case(
        "no table",
        remove("source/train.csv"),
        "fetch",
        3,
        (
            "tiny: train.csv is missing",
            "found: masks.zip, test.csv, test.zip, train.zip",
            "expected: train.csv or train.csv.zip",
        ),
    ),
    Case("no archive", remove("source/test.zip"), "fetch", 3, ("test.zip is missing",)),
    Case(
        "renamed",
        rename("source/train.zip", "source/training.zip"),
        "fetch",
        3,
        (
            "train.zip is missing",
            "to do: if training.zip is it, rename it",
        ),
    ),
    Case(
        "empty",
        put("source/masks.zip", b""),
        "fetch",
        3,
        ("source/masks.zip: the file is empty\n  found: 0 bytes",),
    ),
    Case(
        "a page",
        put("source/train.zip", HTML),
        "index",
        3,
        ("data/raw/tiny/train.zip: not the archive that its name says\n  found: an HTML page",),
    ),
    Case(
        "a page for a table",
        put("source/train.csv", HTML),
        "index",
        3,
        ("data/raw/tiny/train.csv: not a table\n  found: an HTML page",),
    ),
    Case(
        "a cut archive",
        cut("source/train.zip"),
        "index",
        3,
        (
            "data/raw/tiny/train.zip: the zip has no end",
            "to do: download it again; if it is the first of its parts, join them",
        ),
    ),
    Case(
        "another column",
        replace("source/train.csv", "image,", "picture,"),
        "index",
        3,
        (
            "data/raw/tiny/train.csv, row 1: no column 'image'",
            "found: 2 columns: 'picture', 'group'",
        ),
    ),
    Case(
        "an id twice",
        replace("source/train.csv", "015,", "003,"),
        "index",
        3,
        (
            "data/raw/tiny/train.csv, row 17: rows of one id that are of different groups",
            "expected: one image and one group for each id",
        ),
    ),
    Case(
        "a short row",
        replace("source/train.csv", "002,g1", "002"),
        "index",
        3,
        ("train.csv, row 4: a row of another length than the header\n  found: 1 cells: 002",),
    ),
    Case(
        "out of its zip",
        members("train.zip", {"../x.png": b"x"}),
        "index",
        3,
        (
            "data/raw/tiny/train.zip: a path that may lead out of its archive",
            "found: a path with ..: '../x.png'",
        ),
    ),
    Case(
        "out of its tar",
        in_a_tar,
        "index",
        3,
        (
            "data/raw/tiny/train.tar: a path that may lead out of its archive",
            "found: a path with ..: 'train/../../x.png'",
        ),
    ),
    Case(
        "image absent",
        members("train.zip", {"train/003.png": None}),
        "index",
        3,
        (
            "data/raw/tiny/train.csv, row 5: 1 rows without their image",
            "row 5: train.zip/train/003.png",
        ),
    ),
    Case(
        "mask absent",
        members("masks.zip", {"003_mask.png": None}),
        "index",
        3,
        (
            "data/raw/tiny/train.csv, row 5: 1 rows without their mask",
            "row 5: masks.zip/003_mask.png",
        ),
    ),
    Case(
        "image empty",
        members("train.zip", {"train/003.png": b""}),
        "index",
        3,
        ("data/raw/tiny/train.zip/train/003.png: an empty file\n  found: 0 bytes",),
    ),
    Case(
        "image cut",
        cut_member,
        "preprocess",
        3,
        (
            "1 of 21 images or masks cannot be used\n  train.zip/train/003.png: the PNG ends early",
            "to do: correct or replace these files, then run the fetch stage again",
        ),
    ),
    Case(
        "a page as image",
        members("test.zip", {"t2.png": HTML}),
        "preprocess",
        3,
        (
            "test.zip/t2.png: not an image, or its header is broken; "
            "found: 56 bytes that begin b'<!DOCTYPE ht'",
        ),
    ),
    Case(
        "mask of another size",
        members("masks.zip", {"003_mask.png": tiny.png(PAPER)}),
        "preprocess",
        3,
        (
            "masks.zip/003_mask.png: the mask's size is not its image's; found: 20 x 20 px; "
            "expected: 48 x 40 px, as train.zip/train/003.png has",
        ),
    ),
    Case(
        "mask of other values",
        members("masks.zip", {"003_mask.png": tiny.png(VALUES)}),
        "preprocess",
        3,
        (
            "masks.zip/003_mask.png: not a mask's values; found: 0, 7, 200; "
            "expected: 0 and 1, or 0 and 255",
        ),
    ),
    Case(
        "all that is wrong",
        several,
        "preprocess",
        3,
        (
            "3 of 21 images or masks",
            "train.zip/train/001.png: not an image",
            "train.zip/train/002.png: ",
            "masks.zip/004_mask.png: the mask's size",
        ),
    ),
)
def test_raw_files(case: Case, project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    check_case(case, project, capfd)

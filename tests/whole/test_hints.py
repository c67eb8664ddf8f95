"""Raw files under other names and in other places: one sentence of what to write, or to move."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.cli.main import main
from tests.support import tiny
from tests.support.damage import contents, params, put
from tests.support.packed import zip_of

Change = Callable[[Path], object]


def unpacked(root: Path) -> None:
    """Unpack train.zip where it lies, and take it away."""
    for name, data in contents(root, "train.zip").items():
        tiny.put(root / "source" / name, data)
    (root / "source/train.zip").unlink()


def in_one_zip(root: Path) -> None:
    """Pack the whole source into one archive, as the judge's download-all does."""
    source = root / "source"
    files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    for name in files:
        (source / name).unlink()
    zip_of(source / "dogs.zip", files)


def in_a_folder(root: Path) -> None:
    (root / "source/tables").mkdir()
    (root / "source/train.csv").rename(root / "source/tables/train.csv")


def lost_header(root: Path) -> None:
    """Take the header away, and name the columns by position."""
    path = root / "source/train.csv"
    tiny.put(path, path.read_text().split("\n", 1)[1])
    params("data", train={"image": "train.zip/train/{0}.png", "targets": [2]})(root)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (unpacked, 3, "to do: write train/ for train.zip/ in data.train.image"),
        (in_one_zip, 3, "to do: unpack dogs.zip, and set data.source to the folder that it fills"),
        (in_a_folder, 3, "found: tables/train.csv\n"),
        (params("data", train={"image": "./train.zip/{image}"}), 2, "write train.zip/{image}\n"),
        (params("data", train={"image": "/x/{image}"}), 2, "found: an absolute path: /x/{image}\n"),
    ],
)
def test_fetch_says_what_to_write(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    change: Change,
    code: int,
    words: str,
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    monkeypatch.chdir(root)
    change(root)
    assert main(["fetch", tiny.NAME]) == code
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("multiclass", lost_header, "train.csv, row 1: the first row is data, not a header"),
        (
            "regression",
            lambda root: put("source/train.csv", _beyond(root))(root),
            "holds '1e39'\n",
        ),
    ],
)
def test_index_names_table_and_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    change: Change,
    words: str,
) -> None:
    root = tiny.project(tmp_path, kind)
    monkeypatch.chdir(root)
    change(root)
    tiny.run("fetch")
    assert main(["index", tiny.NAME]) == 3
    assert words in capfd.readouterr().err


def of_bits(root: Path, bits: int) -> None:
    """Replace the training images by grey ones of 16 bits that use fewer of them."""
    images = contents(root, "train.zip")
    for name in images:
        values = np.random.default_rng(len(images[name])).integers(0, 2**bits, (40, 48))
        Image.fromarray(values.astype(np.uint16)).save(root / "deep.png")
        images[name] = (root / "deep.png").read_bytes()
    zip_of(root / "source/train.zip", images)


def test_the_audit_tells_of_13_bits_in_16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    monkeypatch.chdir(root)
    of_bits(root, 13)
    tiny.run("fetch", "index", "split", "preprocess", "audit")
    output = capfd.readouterr().out
    assert "16 of 16 train images of 16 bits use at most 13 of them: their high bytes" in output


def test_12_bits_in_16_are_refused_without_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    monkeypatch.chdir(root)
    of_bits(root, 12)
    tiny.run("fetch", "index")
    assert main(["preprocess", tiny.NAME]) == 3
    assert "use 12 of them or fewer" in capfd.readouterr().err
    tiny.edit(root, lambda params: params[tiny.NAME]["preprocess"].update(levels=[0, 4095]))
    tiny.run("preprocess", "split", "audit")
    assert "16 bits" not in capfd.readouterr().out


def _beyond(root: Path) -> str:
    """Return the table of training images with 1e39 as the last value of its first row."""
    header, first, *rest = (root / "source/train.csv").read_text().split("\n")
    return "\n".join([header, f"{first.rsplit(',', 1)[0]},1e39", *rest])

"""One shard preprocessed from tiny raw files: pixels, masks and facts known by hand."""

import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from darkroom.index.table import RESERVED_NAMES
from darkroom.raw.archives import Archives, digest_of
from darkroom.store.facts import SCHEMA, Facts
from darkroom.store.preprocess import (
    SOURCE_COLUMNS,
    PreprocessJob,
    SourceImage,
    preprocess_shard,
)
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, shard_name
from tests.support.packed import zip_of
from tests.support.tiny import png

# Four squares of 8 px: red, green over blue, white; the mask is the right half.
QUARTERS = np.zeros((16, 16, 3), np.uint8)
QUARTERS[:8, :8, 0] = QUARTERS[:8, 8:, 1] = QUARTERS[8:, :8, 2] = 255
QUARTERS[8:, 8:] = 255
HALF = np.repeat([[0, 1]], 8, axis=1).repeat(16, axis=0).astype(np.uint8)
WIDE = QUARTERS[:8]


def job(folder: Path, *rows: SourceImage, **choices: Any) -> PreprocessJob:
    files = {
        "a.png": png(QUARTERS),
        "a_mask.png": png(HALF * 255),
        "wide.png": png(WIDE),
        "grey.png": png(QUARTERS[:, :, 0]),
        "bad.png": b"no image",
        "small_mask.png": png(HALF[:4]),
    }
    zip_of(folder / "raw.zip", files)
    options: dict[str, Any] = {"height": 4, "width": 4, "fit": "stretch", "image": "raw"}
    format = ShardFormat(**(options | choices))
    path = folder / shard_name("train", 0)
    columns = pa.table({name: [getattr(row, name) for row in rows] for name in SOURCE_COLUMNS})
    archives = Archives(folder, folder / "unpacked")
    return PreprocessJob(path, folder / "done/facts.arrow", archives, columns, format, quality=90)


def facts_of(job: PreprocessJob) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Facts(job.facts).table(SCHEMA.names).to_pylist()
    return rows


def source(image: str, mask: str = "") -> SourceImage:
    return SourceImage(
        image, "train", f"raw.zip/{image}.png", f"raw.zip/{mask}.png" if mask else ""
    )


def test_a_picture_and_its_mask_by_hand(tmp_path: Path) -> None:
    shard = job(tmp_path, source("a", "a_mask"))
    assert preprocess_shard(shard).errors == []
    store = Store(tmp_path, "train")
    corners = store.image(0)[[0, 0, 3, 3], [0, 3, 0, 3]].tolist()
    assert corners == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    mask = store.mask(0)
    assert mask is not None
    assert mask.tolist() == [[[0, 0, 1, 1]] * 4]
    assert store.originals.tolist() == [[16, 16]]
    (fact,) = facts_of(shard)
    thumb, stored_mask = fact.pop("thumb"), np.packbits(mask).tobytes()
    assert fact == {
        "id": "a",
        "part": "train",
        "height": 16,
        "width": 16,
        "format": "PNG",
        "mode": "RGB",
        "bytes": len(png(QUARTERS)),
        "exif": 1,
        "raw_low": 0.0,
        "raw_high": 255.0,
        "peak": 255,
        "mask_pixels": "128",
        "mask_values": "0/255",
        "stored_mask_digest": digest_of(stored_mask),
    }
    grey = np.frombuffer(thumb, np.uint8).reshape(16, 16)
    # ITU-R BT.601: 0.299 red, 0.587 green, 0.114 blue; the stored 4 x 4 px enlarged again
    assert grey[[0, 0, 15, 15], [0, 15, 0, 15]].tolist() == [76, 150, 29, 255]


def test_a_picture_without_a_mask(tmp_path: Path) -> None:
    shard = job(tmp_path, source("grey"))
    preprocess_shard(shard)
    store = Store(tmp_path, "train")
    assert store.mask(0) is None
    assert store.image(0)[0, 0].tolist() == [255, 255, 255], "grey as RGB"
    (fact,) = facts_of(shard)
    assert (fact["mode"], fact["mask_pixels"], fact["mask_values"]) == ("L", "-1", "")


def test_the_peak_of_twelve_bits_in_sixteen_is_recorded(tmp_path: Path) -> None:
    deep = job(tmp_path, source("deep"))
    values, data = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8), BytesIO()
    Image.fromarray(values).save(data, "PNG")
    zip_of(tmp_path / "raw.zip", {"deep.png": data.getvalue()})
    preprocess_shard(deep)
    (fact,) = facts_of(deep)
    assert (fact["mode"], fact["peak"]) == ("I;16", 15)  # the high byte of 4095
    assert Store(tmp_path, "train").image(0).max() <= 15  # stored as ever


@pytest.mark.parametrize(
    ("fit", "column"),
    [
        ("stretch", [[255, 0, 0]] * 4),
        ("pad", [[0, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 0]]),
    ],
)
def test_a_wide_picture_is_fitted(tmp_path: Path, fit: str, column: list[list[int]]) -> None:
    shard = job(tmp_path, source("wide"), fit=fit)
    preprocess_shard(shard)
    store = Store(tmp_path, "train")
    assert store.image(0)[:, 0].tolist() == column
    assert store.fit == fit
    (fact,) = facts_of(shard)
    assert (fact["height"], fact["width"]) == (8, 16)


def test_every_error_is_reported_and_no_shard_is_left(tmp_path: Path) -> None:
    rows = (source("bad"), source("a", "a_mask"), source("a", "small_mask"), source("no"))
    result = preprocess_shard(job(tmp_path, *rows))
    assert result.images == 1
    assert len(result.errors) == 3
    assert result.errors[0].startswith(
        "raw.zip/bad.png: not an image, or its header is broken; found: 8 bytes that begin b'no im"
    )
    assert result.errors[1] == (
        "raw.zip/small_mask.png: the mask's size is not its image's; found: 16 x 4 px; "
        "expected: 16 x 16 px, as raw.zip/a.png has"
    )
    assert "raw.zip/no.png: no such file" in result.errors[2]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["raw.zip"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    results = []
    for place in ("a", "b"):
        shard = job(tmp_path / place, source("a", "a_mask"), source("wide"), image="jpeg")
        result = preprocess_shard(shard)
        results.append((result, shard.path.read_bytes(), shard.facts.read_bytes()))
    assert results[0] == results[1]


def test_a_file_that_was_swapped_after_the_index_is_refused(tmp_path: Path) -> None:
    right = {name: digest_of(png(pixels)) for name, pixels in (("a", QUARTERS), ("m", HALF * 255))}
    row = replace(source("a", "a_mask"), digest=right["a"], mask_digest=right["m"])
    assert preprocess_shard(job(tmp_path, row)).errors == []
    swapped = (replace(row, digest=right["m"]), replace(row, mask_digest=right["a"]))
    errors = preprocess_shard(job(tmp_path / "swapped", *swapped)).errors
    assert [error.split(";")[0].rsplit("/", 1)[-1] for error in errors] == [
        "a.png: not the file that was indexed",
        "a_mask.png: not the file that was indexed",
    ]
    assert f"expected: sha256 {right['m']}" in errors[0]


def recorded(folder: Path) -> PreprocessJob:
    return job(folder, source("a", "a_mask"), source("wide"))


def test_a_complete_shard_is_not_made_again(tmp_path: Path) -> None:
    unfinished = recorded(tmp_path)
    first, data = preprocess_shard(unfinished), unfinished.path.read_bytes()
    zip_of(tmp_path / "raw.zip", {})  # nothing is left to make it from
    assert preprocess_shard(unfinished) == first
    assert unfinished.path.read_bytes() == data
    assert first.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "damage",
    ["shard", "record", "facts", "no shard", "no record", "no facts", "another record"],
)
def test_a_damaged_shard_of_an_ended_run_is_made_again(tmp_path: Path, damage: str) -> None:
    unfinished = recorded(tmp_path)
    first, data = preprocess_shard(unfinished), unfinished.path.read_bytes()
    facts = unfinished.facts.read_bytes()
    places = {"shard": unfinished.path, "facts": unfinished.facts, "record": unfinished.record}
    path = places[damage.split()[-1]]
    if damage.startswith("no"):
        path.unlink()
    elif damage == "another record":
        path.write_text('{"images": 2, "sha256": 5}')
    else:
        path.write_bytes(path.read_bytes()[:-9])
    assert preprocess_shard(unfinished) == first
    assert unfinished.path.read_bytes() == data
    assert unfinished.facts.read_bytes() == facts


def test_no_target_can_have_the_name_of_a_fact() -> None:
    """The audit puts facts, fold and targets side by side."""
    assert {*SCHEMA.names, "fold"} <= set(RESERVED_NAMES)

"""Recipes of real competitions, by the names and tables that these have; no pixel is read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.index.assembly.build import build_index
from darkroom.index.table import Index
from darkroom.params.data import Data
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, zip_of

RECIPES = Path(__file__).parents[3] / "recipes"


def index_of(recipe: str, raw: Path) -> Index:
    keys = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())
    (name,) = keys["competitions"]
    data = Data.model_validate(keys[name]["data"] | {"source": str(raw)})
    return build_index(Archives(raw, raw / "spool"), data)


def files(names: str) -> dict[str, bytes]:
    return {name: name.encode() for name in names.split()}


def seven_of(path: Path, members: Mapping[str, bytes]) -> None:
    py7zr = pytest.importorskip("py7zr")  # an extra
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(data, name)


def coco(images: list[tuple[Any, str]], classes: list[int], **lists: Any) -> dict[str, Any]:
    """Return lists of a herbarium: images, and the annotations of the first ones."""
    return lists | {
        "images": [{"id": key, "file_name": path, "license": 1} for key, path in images],
        "annotations": [
            {"id": key, "image_id": key, "category_id": each, "region_id": 1}
            for (key, _), each in zip(images, classes, strict=True)
        ],
        "categories": [{"id": each, "name": "Abies fabé"} for each in sorted(set(classes))],
    }


def herbarium_2020(raw: Path) -> None:
    """Metadata in Latin-1; the ids of pictures are numbers."""
    images = [(7, "images/000/03/7.jpg"), (8, "images/155/04/8.jpg"), (9, "images/000/03/9.jpg")]
    train = coco(images, [3, 15504, 3], regions=[{"id": 1, "name": "México"}], info={})
    test = {"images": [{"id": k, "file_name": f"images/000/{k}.jpg"} for k in (0, 1)], "info": {}}
    text = json.dumps(train, ensure_ascii=False).encode("latin-1")
    folder_of(
        raw,
        {f"nybg2020/train/{path}": path.encode() for _, path in images}
        | files("nybg2020/test/images/000/0.jpg nybg2020/test/images/000/1.jpg")
        | {
            "nybg2020/train/metadata.json": text,
            "nybg2020/test/metadata.json": json.dumps(test).encode(),
            "sample_submission.csv": b"Id,Predicted\n0,0\n1,0\n",
        },
    )


def leaves(raw: Path) -> None:
    """Tables in zips; pictures of both parts in one folder."""
    tables = {
        "train.csv": b"id,species,margin1\n2,Acer_Mono,0.1\n3,Tilia_Tomentosa,0.2\n9,Acer_Mono,0\n",
        "test.csv": b"id,margin1\n4,0.3\n",
        "sample_submission.csv": b"id,Acer_Mono,Tilia_Tomentosa\n4,0.5,0.5\n",
    }
    for name, data in tables.items():
        zip_of(raw / f"{name}.zip", {name: data})
    zip_of(raw / "images.zip", files("images/2.jpg images/3.jpg images/4.jpg images/9.jpg"))


def whales(raw: Path) -> None:
    """Most whales have one picture; the sample's answers are five words in a cell."""
    zip_of(raw / "train.zip", files("train/a.jpg train/b.jpg train/c.jpg"))
    zip_of(raw / "test.zip", files("test/d.jpg"))
    tables = {
        "train.csv": b"Image,Id\na.jpg,new_whale\nb.jpg,w_1287fbc\nc.jpg,new_whale\n",
        "sample_submission.csv": b"Image,Id\nd.jpg,new_whale w_1287fbc w_98baff9\n",
    }
    folder_of(raw, tables)


def melanoma(raw: Path) -> None:
    """DICOM and JPEG side by side; patients are groups; the test table has no target."""
    header = b"image_name,patient_id,sex,age_approx,anatom_site_general_challenge"
    tables = {
        "train.csv": header + b",diagnosis,benign_malignant,target\n"
        b"ISIC_1,IP_1,male,45.0,torso,unknown,benign,0\n"
        b"ISIC_2,IP_1,,,,melanoma,malignant,1\n"
        b"ISIC_3,IP_2,female,50.0,,nevus,benign,0\n",
        "test.csv": header + b"\nISIC_4,IP_9,male,70.0,torso\n",
        "sample_submission.csv": b"image_name,target\nISIC_4,0\n",
    }
    names = "jpeg/train/ISIC_1.jpg jpeg/train/ISIC_2.jpg jpeg/train/ISIC_3.jpg train/ISIC_1.dcm"
    folder_of(raw, files(names + " jpeg/test/ISIC_4.jpg test/ISIC_4.dcm") | tables)


def icebergs(raw: Path, inside: str = "data/processed/") -> None:
    """Pixels in the cells of JSON in 7z, as are all tables."""
    rows = [
        {"id": f"i{k}", "band_1": [k - 20.5] * 16, "band_2": [k - 30.0] * 16, "inc_angle": "na"}
        for k in range(4)
    ]
    train = [row | {"is_iceberg": k % 2} for k, row in enumerate(rows[:3])]
    sample = b"id,is_iceberg\ni3,0.5\n"
    raw.mkdir(exist_ok=True)
    seven_of(raw / "train.json.7z", {f"{inside}train.json": json.dumps(train).encode()})
    seven_of(raw / "test.json.7z", {f"{inside}test.json": json.dumps(rows[3:]).encode()})
    seven_of(raw / "sample_submission.csv.7z", {f"{inside}sample_submission.csv": sample})


SALT = {
    "train.csv": b"id,rle_mask\na,1 2\nb,\nc,5 1\n",
    "depths.csv": b"id,z\na,306\n",
    "sample_submission.csv": b"id,rle_mask\nd,1 1\n",
}


def salt(raw: Path) -> None:
    """Pictures and masks in zips without a folder of their own; all of it once more in a zip."""
    folder_of(raw, SALT)
    zip_of(raw / "train.zip", files("images/a.png images/b.png images/c.png masks/a.png"))
    zip_of(raw / "test.zip", files("images/d.png"))
    zip_of(raw / "competition_data.zip", files("competition_data/train/images/a.png"))


def unpacked_salt(raw: Path) -> None:
    names = "train/images/a.png train/images/b.png train/images/c.png train/masks/a.png"
    folder_of(raw, SALT | files(f"{names} test/images/d.png"))


@dataclass(frozen=True)
class Layout:
    """A recipe, its raw files, and what the index has of them.

    Attributes:
        recipe: Its name.
        write: Writes the raw files.
        train: Ids and images of the rows to learn from, in order.
        test: Those of the test rows.
        header: Of the submission.
        values: A column, and its cells in the rows to learn from.
        classes: In order.
    """

    recipe: str
    write: Callable[[Path], None]
    train: dict[str, str]
    test: dict[str, str]
    header: tuple[str, ...]
    values: tuple[str, list[Any]]
    classes: tuple[str, ...] = field(default=())


SALT_ROWS = (
    ("id", "rle_mask"),
    ("mask", ["rle:column 1 2", "rle:column", "rle:column 5 1"]),
)
ICEBERG_ROWS = (
    ("id", "is_iceberg"),
    ("is_iceberg", [0.0, 1.0, 0.0]),
)
LAYOUTS = {
    "herbarium 2020": Layout(
        "herbarium-2020-fgvc7",
        herbarium_2020,
        {
            "7": "nybg2020/train/images/000/03/7.jpg",
            "8": "nybg2020/train/images/155/04/8.jpg",
            "9": "nybg2020/train/images/000/03/9.jpg",
        },
        {
            "0": "nybg2020/test/images/000/0.jpg",
            "1": "nybg2020/test/images/000/1.jpg",
        },
        ("Id", "Predicted"),
        ("category_id", [0.0, 1.0, 0.0]),
        ("3", "15504"),
    ),
    "leaves": Layout(
        "leaf-classification",
        leaves,
        {each: f"images.zip/images/{each}.jpg" for each in "239"},
        {"4": "images.zip/images/4.jpg"},
        ("id", "Acer_Mono", "Tilia_Tomentosa"),
        ("species", [0.0, 1.0, 0.0]),
        ("Acer_Mono", "Tilia_Tomentosa"),
    ),
    "whales": Layout(
        "whale-categorization-playground",
        whales,
        {f"{each}.jpg": f"train.zip/train/{each}.jpg" for each in "abc"},
        {"d.jpg": "test.zip/test/d.jpg"},
        ("Image", "Id"),
        ("Id", [0.0, 1.0, 0.0]),
        ("new_whale", "w_1287fbc"),
    ),
    "melanoma": Layout(
        "siim-isic-melanoma-classification",
        melanoma,
        {f"ISIC_{each}": f"jpeg/train/ISIC_{each}.jpg" for each in "123"},
        {"ISIC_4": "jpeg/test/ISIC_4.jpg"},
        ("image_name", "target"),
        ("group", ["IP_1", "IP_1", "IP_2"]),
    ),
    "icebergs": Layout(
        "statoil-iceberg-classifier-challenge",
        icebergs,
        {f"i{each}": f"pixels:train.json#{each}" for each in "012"},
        {"i3": "pixels:test.json#0"},
        *ICEBERG_ROWS,
    ),
    "icebergs, at the top of the archives": Layout(
        "statoil-iceberg-classifier-challenge",
        lambda raw: icebergs(raw, ""),
        {f"i{each}": f"pixels:train.json#{each}" for each in "012"},
        {"i3": "pixels:test.json#0"},
        *ICEBERG_ROWS,
    ),
    "salt": Layout(
        "tgs-salt-identification-challenge",
        salt,
        {each: f"train.zip/images/{each}.png" for each in "abc"},
        {"d": "test.zip/images/d.png"},
        *SALT_ROWS,
    ),
    "salt, unpacked": Layout(
        "tgs-salt-identification-challenge",
        unpacked_salt,
        {each: f"train/images/{each}.png" for each in "abc"},
        {"d": "test/images/d.png"},
        *SALT_ROWS,
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_recipe_reads_the_competitions_own_files(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    layout.write(tmp_path)
    index = index_of(layout.recipe, tmp_path)
    parts = dict(iter(index.rows.groupby("part")))
    for part, expected in (("train", layout.train), ("test", layout.test)):
        assert dict(zip(parts[part]["id"], parts[part]["image"], strict=True)) == expected
    column, cells = layout.values
    assert parts["train"][column].tolist() == cells
    assert index.card.header == layout.header
    assert index.card.classes == layout.classes

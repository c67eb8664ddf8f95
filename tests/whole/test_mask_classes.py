"""Masks of several classes through all stages: a row or a file a class, or values of a picture."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.images import rle
from darkroom.index.table import read_index
from darkroom.models.saved import load_model
from darkroom.project import processes
from darkroom.store.store import Store
from tests.support import tiny
from tests.support.packed import zip_of

CLASSES = ("square", "bar")
SQUARE = np.array([[[1]], [[0]]], np.uint8)  # and no bar
NAMES = [f"{number:02}" for number in range(12)]
TESTS = ["t0", "t1"]
KINDS = ("rows", "files", "values", "full", "one")


def scene(number: int) -> tuple[tiny.Pixels, tiny.Pixels]:
    """Return an image with a red square and a blue bar, and a mask of each, (2, 24, 32)."""
    rng = np.random.default_rng(number)
    masks = np.zeros((2, 24, 32), np.uint8)
    top, left = rng.integers(2, 8), rng.integers(2, 8)
    masks[0, top : top + 8, left : left + 8] = number % 4 != 1
    masks[1, 18:22, 4 : 4 + rng.integers(10, 24)] = number % 4 != 2
    image = rng.integers(0, 60, (24, 32, 3))
    image[..., 0] += masks[0] * 180
    image[..., 2] += masks[1] * 180
    return image.astype(np.uint8), masks


def labels_of(kind: str) -> list[str]:
    return {"full": ["ground", *CLASSES], "one": ["square"]}.get(kind, [*CLASSES])


def values_of(masks: tiny.Pixels) -> tiny.Pixels:
    """Return masks as values: 7 square, 9 bar, 0 none; 255 in the first columns."""
    values = masks[0] * 7 + masks[1] * 9
    values[:, :2] = 255
    return np.asarray(values, np.uint8)


def draw(root: Path, kind: str, **train: Any) -> Path:
    """Make a project whose masks are of a kind."""
    source = root / "source"
    pictures = {name: scene(number) for number, name in enumerate([*NAMES, *TESTS])}
    for name, (image, _) in pictures.items():
        tiny.put(source / f"{'test' if name in TESTS else 'train'}/{name}.png", "")
        (source / f"{'test' if name in TESTS else 'train'}/{name}.png").write_bytes(tiny.png(image))
    masks = {name: pictures[name][1] for name in NAMES}
    rows: tiny.Params = {"files": "train/{name}.png"}
    data: tiny.Params = {"source": "source", "task": "segmentation", "row": "{id}_{label}"}
    if kind == "rows":
        cells = [
            f"{name}_{label},{rle.encode(masks[name][k], 'column')}\n"
            for name in NAMES
            for k, label in enumerate(CLASSES)
        ]
        tiny.put(source / "train.csv", "Image_Label,EncodedPixels\n" + "".join(cells))
        rows = {
            "table": "train.csv",
            "cells": {"Image_Label": "{image}_{label}"},
            "image": "train/{image}.png",
            "label": "label",
            "rle": "EncodedPixels",
        }
    elif kind == "files":
        # A square is in two files, its upper and its lower half; an empty mask has none.
        members = {}
        for name, (square, bar) in masks.items():
            middle = int(np.flatnonzero(square.any(1)).mean()) if square.any() else 0
            upper = square * (np.arange(24) <= middle)[:, None].astype(np.uint8)
            for file, mask in (("square_a", upper), ("square_b", square - upper), ("bar", bar)):
                if mask.any():
                    members[f"{name}/{file}.png"] = tiny.png(mask * 255)
        zip_of(source / "masks.zip", members)
        rows["mask"] = {"square": "masks/{name}/square_*.png", "bar": "masks/{name}/bar.png"}
    else:
        zip_of(
            source / "masks.zip",
            {
                f"{name}.png": tiny.png(values_of(mask * (kind != "one" or SQUARE)))
                for name, mask in masks.items()
            },
        )
        rows["mask"] = "masks/{name}.png"
        data["values"] = {7: "square", 9: "bar", 255: None}
        if kind == "full":
            data["values"] = {0: "ground"} | data["values"]
        if kind == "one":
            del data["values"][9]
    labels = labels_of(kind)
    sample = [f"{name}_{label},\n" for name in TESTS for label in labels]
    tiny.put(source / "sample.csv", "id,rle\n" + "".join(sample))
    settings: tiny.Params = {
        "data": data | {"train": rows, "test": {"files": "test/{name}.png"}, "like": "sample.csv"},
        "split": {"by": "group", "folds": 2},
        "preprocess": {"height": 16, "width": 32, "fit": "pad", "store": "raw"},
        "model": {"name": "unet", "width": 4, "depth": 2},
        "train": {
            "epochs": 2,
            "batch_size": 4,
            "lr": 0.02,
            "augment": "light",
            "workers": 0,
            "accelerator": "cpu",
        }
        | train,
        "predict": {"tta": ["hflip"]},
        "evaluate": {},
    }
    tiny.write_params(root, settings, folds=[0])
    return root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(kind: str, *verbs: str, **train: Any) -> Path:
        root = draw(tmp_path, kind, **train)
        monkeypatch.chdir(root)
        monkeypatch.setattr(processes, "cores", lambda: 1)  # no pool: it takes seconds to start
        tiny.run(*(verbs or tiny.VERBS))
        return root

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_stored_as_planes_and_read_alike_from_any_form(project: Any, kind: str) -> None:
    root = project(kind, "fetch", "index", "split", "preprocess", "audit")
    store = Store(root / "data/processed/tiny", "train")
    whole = np.stack([scene(number)[1] for number in range(len(NAMES))])
    unknown = kind in ("values", "full", "one")
    assert store.planes == len(labels_of(kind)) + unknown
    card = read_index(root / "data/index/tiny.csv", root / "data/index/tiny.json").card
    assert (card.exclusive, card.background) == (unknown, kind in ("values", "one"))
    planes = store.masks(range(len(NAMES)))[:, int(kind == "full") :, 2:14]
    count = 1 if kind == "one" else 2
    areas = planes[:, :count].sum(axis=(2, 3)).tolist()
    # Half as large on either side: a quarter of the pixels, all but along the edges.
    assert np.allclose(areas, whole[:, :count, :, 2:].sum(axis=(2, 3)) / 4, atol=14)
    report = json.loads((root / "reports/tiny/audit.json").read_text())
    assert ("unknown" in report["masks"]) == unknown
    if kind == "one":
        assert report["masks"]["empty"]["count"] == 3
        return
    shown = report["masks"]["classes"]
    assert {name: shown[name]["images"] for name in CLASSES} == {"square": 9, "bar": 9}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_learned_judged_and_written(project: Any, kind: str) -> None:
    root = project(kind)
    _, description = load_model(root / "models/tiny/fold0")
    labels = labels_of(kind)
    assert description["targets"] == labels
    exclusive = kind in ("values", "full", "one")
    assert description.get("exclusive", False) == exclusive
    background = kind in ("values", "one")
    assert description["model"]["outputs"] == len(labels) + background
    text = gzip.decompress((root / "submissions/tiny.csv.gz").read_bytes()).decode()
    cells = dict(list(csv.reader(text.splitlines()))[1:])
    assert sorted(cells) == sorted(f"{name}_{label}" for name in TESTS for label in labels)
    for name in TESTS:
        masks = np.stack([rle.decode(cells[f"{name}_{label}"], 24, 32) for label in labels])
        if kind == "full":
            assert (masks.sum(axis=0) == 1).all(), "every pixel has a class"
        if background:
            assert masks.sum(axis=0).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "values"])
def test_classes_give_the_same_bytes_again(project: Any, kind: str) -> None:
    options = {"augment": "strong", "class_weights": "balanced", "loss": {"bce": 1, "lovasz": 1}}
    root = project(kind, **options)
    first = tiny.tree(root)
    tiny.run(*tiny.VERBS)
    again = tiny.tree(root)
    assert [name for name in first | again if again.get(name) != first.get(name)] == []

"""Tiny projects in the layouts of competitions: class folders, labels in a cell, label rows ..."""

from collections.abc import Callable
from pathlib import Path

from darkroom.images import rle
from tests.support import tiny
from tests.support.packed import zip_of
from tests.support.tiny import Params, disc, patch, png, put

COLOURS = {"dove": (90, 190, 60), "emu": (200, 70, 60), "owl": (60, 80, 200)}
TRAIN, TEST = 12, 4


def _draw(source: Path, *, folders: bool = False) -> list[str]:
    """Draw birds by colour, train.zip and test/; return the name of the bird of each picture."""
    birds = [list(COLOURS)[number % 3] for number in range(TRAIN)]
    places = [f"{bird}/{number}" if folders else f"{number}" for number, bird in enumerate(birds)]
    pictures = {
        f"train/{place}.png": png(patch(number, COLOURS[bird]))
        for number, (place, bird) in enumerate(zip(places, birds, strict=True))
    }
    zip_of(source / "train.zip", pictures)
    for number in range(TEST):
        colour = list(COLOURS.values())[number % 3]
        put(source / f"test/{number}.png", png(patch(99 - number, colour)))
    return birds


def _sample(source: Path, header: str, answer: str) -> None:
    rows = "".join(f"{number},{answer}\n" for number in reversed(range(TEST)))
    put(source / "sample_submission.csv", f"{header}\n{rows}")


def folders(source: Path) -> Params:
    """A folder a class, no table at all but the sample submission."""
    _draw(source, folders=True)
    _sample(source, "file,species", "owl")
    return {
        "task": "multiclass",
        "train": {"files": "train/{species}/{n}.png", "targets": "species"},
        "test": {"image": "test/{file}.png"},
        "like": "sample_submission.csv",
    }


def words(source: Path) -> Params:
    """Several labels in one cell."""
    birds = _draw(source)
    cells = {"dove": "dove", "emu": "emu dove", "owl": "owl"}
    rows = "".join(f"{number},{cells[bird]}\n" for number, bird in enumerate(birds))
    put(source / "train.csv", f"image,labels\n{rows}")
    _sample(source, "image,labels", "dove")
    return {
        "task": "multilabel",
        "metric": "samples_f1",
        "separator": " ",
        "train": {"table": "train.csv", "image": "train/{image}.png", "targets": "labels"},
        "test": {"image": "test/{image}.png"},
        "like": "sample_submission.csv",
    }


def label_rows(source: Path) -> Params:
    """A row for each image and label, in and out; probabilities are asked for."""
    birds = _draw(source)
    rows = "".join(
        f"{number}_{name},{int(name == bird)}\n"
        for number, bird in enumerate(birds)
        for name in COLOURS
    )
    put(source / "train.csv", f"key,value\n{rows}")
    asked = "".join(f"{number}_{name},0.5\n" for number in range(TEST) for name in COLOURS)
    put(source / "sample_submission.csv", f"key,value\n{asked}")
    return {
        "task": "multilabel",
        "metric": "mean_column_auc",
        "train": {
            "table": "train.csv",
            "cells": {"key": "{image}_{bird}"},
            "image": "train/{image}.png",
            "label": "bird",
            "targets": "value",
        },
        "test": {"image": "test/{image}.png"},
        "like": "sample_submission.csv",
        "row": "{id}_{label}",
    }


def one_hot(source: Path) -> Params:
    """A column a class, in and out."""
    birds = _draw(source)
    rows = "".join(
        f"{number},{','.join(str(int(name == bird)) for name in COLOURS)}\n"
        for number, bird in enumerate(birds)
    )
    put(source / "train.csv", f"image,{','.join(COLOURS)}\n{rows}")
    _sample(source, f"image,{','.join(reversed(COLOURS))}", "0.3,0.3,0.4")
    return {
        "task": "multiclass",
        "metric": "log_loss",
        "train": {"table": "train.csv", "image": "train/{image}.png", "targets": list(COLOURS)},
        "test": {"image": "test/{image}.png"},
        "like": "sample_submission.csv",
    }


def mask_classes(source: Path) -> Params:
    """A row for each image and mask class."""
    rows = ""
    for number in range(TRAIN):
        picture, mask = disc(number)
        put(source / f"train/{number}.png", png(picture))
        runs = rle.encode(mask, "column")
        rows += f"{number},round,{runs if number % 3 else ''}\n"
        rows += f"{number},other,{'' if number % 3 else runs}\n"
    asked = ""
    for number in range(TEST):
        put(source / f"test/{number}.png", png(disc(99 - number)[0]))
        asked += f"{number},round,\n{number},other,\n"
    put(source / "train.csv", f"id,class,runs\n{rows}")
    put(source / "sample_submission.csv", f"id,class,predicted\n{asked}")
    return {
        "task": "segmentation",
        "train": {
            "table": "train.csv",
            "image": "train/{id}.png",
            "label": "class",
            "rle": "runs",
        },
        "test": {"image": "test/{id}.png"},
        "like": "sample_submission.csv",
        "row": ["{id}", "{label}"],
    }


LAYOUTS: dict[str, Callable[[Path], Params]] = {
    "folders": folders,
    "words": words,
    "label_rows": label_rows,
    "one_hot": one_hot,
    "mask_classes": mask_classes,
}


def project(root: Path, layout: str) -> Path:
    """Make a project of one of LAYOUTS, its raw files under `source`, and return its root."""
    data = LAYOUTS[layout](root / "source") | {"source": "source"}
    is_mask = data["task"] == "segmentation"
    settings: Params = {
        "data": data,
        "split": {"by": "group" if is_mask else "stratify", "folds": 2},
        "preprocess": {"height": 32, "width": 32},
        "model": {"name": "unet" if is_mask else "small_cnn", "width": 4, "depth": 2},
        "train": {"epochs": 1, "batch_size": 4, "lr": 0.01, "workers": 0, "accelerator": "cpu"},
        "evaluate": {},
        "predict": {},
    }
    tiny.write_params(root, settings, folds=[0])
    return root

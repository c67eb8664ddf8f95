"""The Carvana Image Masking Challenge: 16 views a car, a GIF mask each.

Raw files as Kaggle delivers them: train.zip, train_masks.zip, test.zip (or their _hq versions,
or folders), and sample_submission.csv.zip, whose order the submission keeps.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from darkroom.errors import DataError
from darkroom.index.card import Card, Runs
from darkroom.index.formats.rows import assemble_index, check_same_names, files_by_name, image_rows
from darkroom.index.table import Index
from darkroom.params.data import CarvanaData
from darkroom.project.names import list_names, pick_name
from darkroom.raw import tables
from darkroom.raw.archives import Archives

VIEWS = 16
SAMPLE = "sample_submission.csv"

_IMAGE = re.compile(r"([0-9a-f]{12})_(0[1-9]|1[0-6])\.jpg")


def required_files(names: Collection[str], data: CarvanaData) -> list[str]:
    """Return the three containers and, if it is there, the sample submission."""
    containers = [pick_name(names, stem) for stem in _stems(data)]
    return sorted([*containers, *_sample(names)])


def build_index(archives: Archives, data: CarvanaData) -> Index:
    """Return the index; the group is the car, since its 16 views look alike."""
    raw = archives.root
    train_in, masks_in, test_in = (archives.find(stem) for stem in _stems(data))
    images = files_by_name(archives, train_in)
    masks = files_by_name(archives, masks_in)
    tests = files_by_name(archives, test_in)
    cars, test_cars = _cars(images, raw / train_in), _cars(tests, raw / test_in)
    check_same_names(
        [_mask(name) for name in images], masks, listed_in=raw / train_in, held_in=masks_in
    )
    order = _test_order(archives, tests, test_in)
    train = image_rows(
        "train",
        ids=list(images),
        images=list(images.values()),
        masks=[masks[_mask(name)] for name in images],
        groups=[cars[name] for name in images],
    )
    test = image_rows(
        "test",
        ids=order,
        images=[tests[name] for name in order],
        groups=[test_cars[name] for name in order],
    )
    card = Card(
        task="segmentation",
        # The rules promise 16 views a car; the audit reports a missing one.
        declared={
            "train images": VIEWS * len(set(cars.values())),
            "test images": VIEWS * len(set(test_cars.values())),
        },
        header=("img", "rle_mask"),
        runs=Runs("row"),
    )
    return assemble_index(archives, [train], test, card)


def _stems(data: CarvanaData) -> tuple[str, str, str]:
    suffix = "_hq" if data.quality == "hq" else ""
    return f"train{suffix}", "train_masks", f"test{suffix}"


def _sample(names: Collection[str]) -> list[str]:
    return [name for end in tables.SUFFIXES if (name := f"{SAMPLE}{end}") in names][:1]


def _mask(image: str) -> str:
    return image.removesuffix(".jpg") + "_mask.gif"


def _cars(images: Iterable[str], file: Path) -> dict[str, str]:
    """Return the car of each image, from its name."""
    cars, odd = {}, []
    for name in images:
        if match := _IMAGE.fullmatch(name):
            cars[name] = match[1]
        else:
            odd.append(name)
    if odd:
        raise DataError(
            f"{len(odd)} files not named like a view of a car",
            file=file,
            details=odd,
            found=odd[0],
            expected="12 hexadecimal digits, _01 to _16, .jpg: 0cde08c6b0ff_01.jpg",
            fix="remove other files; is it the right archive?",
        )
    return cars


def _test_order(archives: Archives, tests: Collection[str], test_in: str) -> list[str]:
    """Return the test ids as the sample submission lists them, or sorted without one."""
    if not _sample(list_names(archives.root)):
        return sorted(tests)
    table = tables.read_table(archives, SAMPLE)
    order = table.unique_names("img")
    check_same_names(order, tests, listed_in=table.file, held_in=test_in)
    return order

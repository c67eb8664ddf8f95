"""Tiny imitations of ten real competitions, in their raw layout, with a judge's rule for each.

The layouts and rules are those of the public descriptions. Each is drawn small: a class is a
colour. A judge is a function of the submission's rows and the truth's, both as text by id.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import f1_score, roc_auc_score

from tests.support.packed import folder_of, zip_of

Array = NDArray[np.uint8]
Rows = Mapping[str, Sequence[str]]
"""Cells after the id, by id."""

SIDE = 24


class RefusedError(Exception):
    """The judge does not score the submission."""


@dataclass(frozen=True)
class Imitation:
    """A competition.

    Attributes:
        recipe: Its name in `recipes/`.
        draw: Writes the raw files to a folder; returns the truth, in the form of a submission.
        grade: (submission, truth) to the score. Raises RefusedError.
        want: What a network that has learned anything reaches.
        best: Whether more or less is better.
    """

    recipe: str
    draw: Callable[[Path, np.random.Generator], Rows]
    grade: Callable[[Rows, Rows], float]
    want: float
    best: str = "max"


# ---------------------------------------------------------------- pictures and tables


def picture(rng: np.random.Generator, share: float, height: int = SIDE, width: int = SIDE) -> Array:
    """Return noise with a square whose colour says a class, uint8 (height, width, 3)."""
    pixels = rng.integers(0, 60, (height, width, 3))
    colour = 60 + 180 * np.clip(np.abs((np.array([0, 2, 4]) + 5 * share) % 6 - 3) - 1, 0, 1)
    top, left = rng.integers(2, height // 3), rng.integers(2, width // 3)
    pixels[top : top + height // 2, left : left + width // 2] = colour
    return pixels.astype(np.uint8)


def encoded(pixels: Array, kind: str) -> bytes:
    """Return a file's bytes."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return out.getvalue()


def csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return a table."""
    return "".join(",".join(map(str, row)) + "\n" for row in [header, *rows]).encode()


def hexes(rng: np.random.Generator, count: int, length: int = 12) -> list[str]:
    """Return different hexadecimal names."""
    return sorted({rng.bytes(16).hex()[:length] for _ in range(2 * count)}, key=hash_of)[:count]


def hash_of(name: str) -> str:
    """Return a key of an order that has nothing to do with the names'."""
    return name[::-1]


def dealt(rng: np.random.Generator, count: int, classes: int) -> list[int]:
    """Return class numbers in random order, about as many of each."""
    return [int(k) for k in rng.permutation(np.arange(count) % classes)]


def runs(mask: NDArray[np.bool_]) -> str:
    """Return run lengths down the columns, from 1."""
    flat = np.concatenate([[0], mask.ravel("F").astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(flat)).reshape(-1, 2)
    return " ".join(f"{start + 1} {end - start}" for start, end in edges)


def mask_of(cell: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of run lengths; Raises RefusedError."""
    flat = np.zeros(shape[0] * shape[1], bool)
    numbers = [int(word) for word in cell.split()]
    end = 1
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if start < end or length < 1 or start + length - 1 > flat.size:
            raise RefusedError(cell)
        flat[start - 1 : start + length - 1] = True
        end = start + length
    return flat.reshape(shape, order="F")


# ---------------------------------------------------------------- judges' rules


def _paired(submission: Rows, truth: Rows) -> list[tuple[Sequence[str], Sequence[str]]]:
    if set(submission) != set(truth):
        raise RefusedError("other ids")
    return [(submission[each], truth[each]) for each in truth]


def _numbers(cells: Sequence[str]) -> list[float]:
    values = [float(cell) for cell in cells]
    if not all(0 <= value <= 1 for value in values):
        raise RefusedError(f"not probabilities: {cells}")
    return values


def log_loss(submission: Rows, truth: Rows) -> float:
    """Multi-class log loss; rows must sum to 1 within a millionth."""
    losses = []
    for cells, right in _paired(submission, truth):
        values = np.array(_numbers(cells))
        if abs(values.sum() - 1) > 1e-6:
            raise RefusedError(f"a row sums to {values.sum()}")
        losses.append(-np.log(np.clip(values, 1e-15, 1)[list(right).index("1")]))
    return float(np.mean(losses))


def accuracy(submission: Rows, truth: Rows) -> float:
    """The share of right answers."""
    return float(np.mean([cells[0] == right[0] for cells, right in _paired(submission, truth)]))


def macro_f1(submission: Rows, truth: Rows) -> float:
    """F1 of each class, averaged; answers are whole numbers."""
    pairs = _paired(submission, truth)
    right, answers = [int(b[0]) for _, b in pairs], [int(a[0]) for a, _ in pairs]
    return float(f1_score(right, answers, average="macro"))


def roc_auc(submission: Rows, truth: Rows) -> float:
    """The area under the ROC curve of each column, averaged."""
    pairs = _paired(submission, truth)
    right = np.array([[float(cell) for cell in b] for _, b in pairs])
    scores = np.array([_numbers(a) for a, _ in pairs])
    return float(roc_auc_score(right, scores, average="macro"))


def map_at_5(submission: Rows, truth: Rows) -> float:
    """1 / the rank of the right answer among at most five, or 0; averaged."""
    scores = []
    for cells, right in _paired(submission, truth):
        answers = cells[0].split()
        if not 1 <= len(answers) <= 5:
            raise RefusedError(f"not one to five answers: {cells[0]}")
        scores.append(1 / (answers.index(right[0]) + 1) if right[0] in answers else 0.0)
    return float(np.mean(scores))


def micro_f1(submission: Rows, truth: Rows) -> float:
    """F1 of all words of all images together."""
    pairs = [(set(a[0].split()), set(b[0].split())) for a, b in _paired(submission, truth)]
    hits = sum(len(a & b) for a, b in pairs)
    return 2 * hits / sum(len(a) + len(b) for a, b in pairs)


def dice(submission: Rows, truth: Rows) -> float:
    """Dice of each image, 1 where both are empty; averaged."""
    pairs = [(mask_of(a[0], SHAPE), mask_of(b[0], SHAPE)) for a, b in _paired(submission, truth)]
    return float(
        np.mean([2 * (a & b).sum() / n if (n := a.sum() + b.sum()) else 1 for a, b in pairs])
    )


def mask_precision(submission: Rows, truth: Rows) -> float:
    """The share of the thresholds of IoU, 0.5 to 0.95, that an image's only mask exceeds."""
    scores = []
    for a, b in _paired(submission, truth):
        answer, right = mask_of(a[0], SHAPE), mask_of(b[0], SHAPE)
        either = (answer | right).sum()
        iou = (answer & right).sum() / either if either else 1.0
        scores.append(np.mean(iou > np.arange(0.5, 1.0, 0.05)))
    return float(np.mean(scores))


# ---------------------------------------------------------------- competitions

SHAPE = (32, 40)
BREEDS = ["affenpinscher", "basenji", "beagle", "boxer", "whippet"]


def dog_breeds(root: Path, rng: np.random.Generator) -> Rows:
    """labels.csv (id, breed), train/<id>.jpg, test/<id>.jpg, a column of probabilities a breed."""
    ids, kinds = hexes(rng, 90, 32), dealt(rng, 90, 5)
    files = {
        f"{'train' if at < 60 else 'test'}/{name}.jpg": encoded(picture(rng, kind / 5), "JPEG")
        for at, (name, kind) in enumerate(zip(ids, kinds, strict=True))
    }
    rows = [(name, BREEDS[kind]) for name, kind in zip(ids[:60], kinds, strict=False)]
    files["labels.csv"] = csv(["id", "breed"], rows)
    sample = [(name, *[0.2] * 5) for name in ids[60:]]
    files["sample_submission.csv"] = csv(["id", *BREEDS], sample)
    folder_of(root, files)
    return {
        n: [str(int(k == j)) for j in range(5)] for n, k in zip(ids[60:], kinds[60:], strict=True)
    }


def _coco(images: list[dict[str, object]], kinds: list[int] | None, key: str) -> dict[str, object]:
    lists: dict[str, object] = {"info": {"year": 2020}, "images": images}
    if kinds is not None:
        lists["annotations"] = [
            {"id": f"a{at}", "image_id": image[key], "category_id": kind}
            for at, (image, kind) in enumerate(zip(images, kinds, strict=True))
        ]
        lists["categories"] = [
            {f"{'category_' if key == 'image_id' else ''}id": k} for k in range(12)
        ]
    return lists


def herbarium_2022(root: Path, rng: np.random.Generator) -> Rows:
    """train_metadata.json: COCO with image_id; test_metadata.json: a bare list of images."""
    kinds = [7 if kind == 0 else kind + 1 for kind in dealt(rng, 90, 4)]
    files, train = {}, list[dict[str, object]]()
    test: list[dict[str, object]] = []
    for at, kind in enumerate(kinds):
        path = f"000/{kind:02}/000{kind:02}__{at:03}.jpg" if at < 60 else f"000/test-{at:06}.jpg"
        place, key = (
            ("train_images", f"000{kind:02}__{at:03}") if at < 60 else ("test_images", str(at - 60))
        )
        image: dict[str, object] = {"image_id": key, "file_name": path, "license": 1}
        (train if at < 60 else test).append(image)
        files[f"{place}/{path}"] = encoded(picture(rng, kind / 9), "JPEG")
    files["train_metadata.json"] = json.dumps(_coco(train, kinds[:60], "image_id")).encode()
    files["test_metadata.json"] = json.dumps(test).encode()
    files["sample_submission.csv"] = csv(["Id", "Predicted"], [(at, 42) for at in range(30)])
    folder_of(root, files)
    return {str(at): [str(kind)] for at, kind in enumerate(kinds[60:])}


def histopathology(root: Path, rng: np.random.Generator) -> Rows:
    """train_labels.csv (id, label), train/<id>.tif, test/<id>.tif."""
    ids, kinds = hexes(rng, 90, 40), dealt(rng, 90, 2)
    files = {
        f"{'train' if at < 60 else 'test'}/{name}.tif": encoded(picture(rng, kind / 2), "TIFF")
        for at, (name, kind) in enumerate(zip(ids, kinds, strict=True))
    }
    files["train_labels.csv"] = csv(["id", "label"], list(zip(ids[:60], kinds, strict=False)))
    files["sample_submission.csv"] = csv(["id", "label"], [(name, 0) for name in ids[60:]])
    folder_of(root, files)
    return {name: [str(kind)] for name, kind in zip(ids[60:], kinds[60:], strict=True)}


def hotels(root: Path, rng: np.random.Generator) -> Rows:
    """train.csv (image, chain, hotel_id, timestamp), one row of it twice; a folder a chain."""
    names = [f"{name}.jpg" for name in hexes(rng, 100, 16)]
    hotels_, chains = [36363, 53586, 18807, 64314, 60181, 204, 9], [3, 3, 0, 87, 0, 5, 5]
    kinds = dealt(rng, 100, 7)
    files, rows = {}, []
    for at, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        place = f"train_images/{chains[kind]}" if at < 70 else "test_images"
        files[f"{place}/{name}"] = encoded(picture(rng, kind / 7), "JPEG")
        rows.append((name, chains[kind], hotels_[kind], "2018-07-09 20:12:14"))
    train = [*rows[:70], rows[12]]
    files["train.csv"] = csv(["image", "chain", "hotel_id", "timestamp"], train)
    sample = [(name, "36363 53586 18807 64314 60181") for name in names[70:]]
    files["sample_submission.csv"] = csv(["image", "hotel_id"], sample)
    folder_of(root, files)
    return {row[0]: [str(row[2])] for row in rows[70:]}


def hubmap(root: Path, rng: np.random.Generator) -> Rows:
    """train.csv (id, encoding), train/<id>.tiff, test/<id>.tiff, other files beside them."""
    return _masked(root, rng, "{part}/{name}.tiff", "TIFF", ["id", "encoding"], ["id", "predicted"])


def salt(root: Path, rng: np.random.Generator) -> Rows:
    """train.csv (id, rle_mask); <part>/images/<id>.png; every third has none."""
    header = ["id", "rle_mask"]
    path = "{part}/images/{name}.png"
    return _masked(root, rng, path, "PNG", header, header, empty=3)


def _masked(
    root: Path,
    rng: np.random.Generator,
    path: str,
    kind: str,
    header: Sequence[str],
    answer: Sequence[str],
    empty: int = 10**9,
) -> Rows:
    files, rows = {"readme.json": b"{}"}, []
    for at, name in enumerate(hexes(rng, 46, 10)):
        mask = np.zeros(SHAPE, bool)
        if at % empty != 1:
            top, left = rng.integers(0, 14), rng.integers(0, 20)
            mask[top : top + rng.integers(8, 18), left : left + rng.integers(8, 20)] = True
        pixels = rng.integers(0, 70, (*SHAPE, 3)) + 120 * mask[..., None]
        part = "train" if at < 32 else "test"
        files[path.format(part=part, name=name)] = encoded(pixels.astype(np.uint8), kind)
        rows.append((name, runs(mask)))
    files["train.csv"] = csv(header, rows[:32])
    files["sample_submission.csv"] = csv(answer, [(name, "1 1") for name, _ in rows[32:]])
    folder_of(root, files)
    return {name: [cell] for name, cell in rows[32:]}


def imet_2020(root: Path, rng: np.random.Generator) -> Rows:
    """train.csv (id, attribute_ids: numbers parted by blanks), labels.csv, train/<id>.png."""
    flags = rng.random((110, 3)) < 0.4
    flags[~flags.any(axis=1), 1] = True
    ids, numbers = hexes(rng, 110, 32), np.array(["0", "17", "3473"])
    files = {}
    for at, (name, flag) in enumerate(zip(ids, flags, strict=True)):
        pixels = rng.integers(0, 60, (SIDE, SIDE, 3))
        for channel in np.flatnonzero(flag):
            pixels[4 + 5 * channel : 9 + 5 * channel, 4:20, channel] = 230
        place = "train" if at < 80 else "test"
        files[f"{place}/{name}.png"] = encoded(pixels.astype(np.uint8), "PNG")
    rows = [(name, " ".join(numbers[flag])) for name, flag in zip(ids, flags, strict=True)]
    header = ["id", "attribute_ids"]
    files["train.csv"] = csv(header, rows[:80])
    names = [(0, "country::afghanistan"), (17, "culture::french"), (3473, "tags::wreaths")]
    files["labels.csv"] = csv(["attribute_id", "attribute_name"], names)
    files["sample_submission.csv"] = csv(header, [(name, "0 1 2") for name, _ in rows[80:]])
    folder_of(root, files)
    return {name: [cell] for name, cell in rows[80:]}


def invasive(root: Path, rng: np.random.Generator) -> Rows:
    """train.7z and test.7z with <part>/<name>.jpg; tables in zips."""
    py7zr = pytest.importorskip("py7zr")  # an extra
    kinds = dealt(rng, 90, 2)
    for part, first, last in (("train", 0, 60), ("test", 60, 90)):
        root.mkdir(parents=True, exist_ok=True)
        with py7zr.SevenZipFile(root / f"{part}.7z", "w") as archive:
            for at in range(first, last):
                data = encoded(picture(rng, kinds[at] / 2), "JPEG")
                archive.writestr(data, f"{part}/{at - first + 1}.jpg")
    rows = [(at + 1, kind) for at, kind in enumerate(kinds[:60])]
    sample = [(at + 1, 0.5) for at in range(30)]
    for name, cells in (("train_labels.csv", rows), ("sample_submission.csv", sample)):
        zip_of(root / f"{name}.zip", {name: csv(["name", "invasive"], cells)})
    return {str(at + 1): [str(kind)] for at, kind in enumerate(kinds[60:])}


def iwildcam_2020(root: Path, rng: np.random.Generator) -> Rows:
    """COCO's lists with a location for each image; a listed picture is not there."""
    kinds, ids = [(0, 2, 5)[kind] for kind in dealt(rng, 100, 3)], hexes(rng, 100, 16)
    images: list[dict[str, object]] = []
    files = {}
    for at, (name, kind) in enumerate(zip(ids, kinds, strict=True)):
        location = at % 7 if at < 70 else 10 + at % 3
        images.append({"id": name, "file_name": f"{name}.jpg", "location": location, "width": 24})
        if at != 5:
            place = "train" if at < 70 else "test"
            files[f"{place}/{name}.jpg"] = encoded(picture(rng, kind / 6), "JPEG")
    lists = {
        "iwildcam2020_train_annotations.json": _coco(images[:70], kinds[:70], "id"),
        "iwildcam2020_test_information.json": _coco(images[70:], None, "id"),
    }
    files |= {name: json.dumps(each).encode() for name, each in lists.items()}
    sample = [(name, 123) for name in ids[70:]]
    files["sample_submission.csv"] = csv(["Id", "Category"], sample)
    folder_of(root, files)
    return {name: [str(kind)] for name, kind in zip(ids[70:], kinds[70:], strict=True)}


def paddy(root: Path, rng: np.random.Generator) -> Rows:
    """train.csv (image_id, label, variety, age), a folder a label; no labels in the sample."""
    labels, kinds = ["blast", "normal", "tungro"], dealt(rng, 90, 3)
    files, rows = {}, []
    for at, kind in enumerate(kinds):
        name = f"{100001 + at if at < 60 else 200001 + at - 60}.jpg"
        place = f"train_images/{labels[kind]}" if at < 60 else "test_images"
        files[f"{place}/{name}"] = encoded(picture(rng, kind / 3), "JPEG")
        rows.append((name, labels[kind], "ADT45", 45 + at % 20))
    files["train.csv"] = csv(["image_id", "label", "variety", "age"], rows[:60])
    files["sample_submission.csv"] = csv(["image_id", "label"], [(row[0], "") for row in rows[60:]])
    folder_of(root, files)
    return {row[0]: [row[1]] for row in rows[60:]}


CATHETERS = ["ETT - Abnormal", "NGT - Normal", "CVC - Borderline", "Swan Ganz Catheter Present"]


def ranzcr(root: Path, rng: np.random.Generator) -> Rows:
    """train.csv (StudyInstanceUID, a 0/1 column a label, PatientID), <part>/<uid>.jpg."""
    flags = rng.random((120, 4)) < 0.4
    files, rows = {}, []
    for at, flag in enumerate(flags):
        name = f"1.2.826.0.1.3680043.8.498.{rng.integers(10**15)}{at:03}"
        pixels = rng.integers(0, 90, (SIDE, SIDE))
        for k in np.flatnonzero(flag):
            y, x = 2 + 11 * (k // 2), 2 + 11 * (k % 2)
            pixels[y : y + 9, x : x + 9] = 220
        place = "train" if at < 80 else "test"
        files[f"{place}/{name}.jpg"] = encoded(pixels.astype(np.uint8), "JPEG")
        rows.append((name, *map(int, flag), f"{at // 2:08x}"))
    files["train.csv"] = csv(["StudyInstanceUID", *CATHETERS, "PatientID"], rows[:80])
    sample = [(row[0], *[0] * 4) for row in rows[80:]]
    files["sample_submission.csv"] = csv(["StudyInstanceUID", *CATHETERS], sample)
    folder_of(root, files)
    return {str(row[0]): [str(cell) for cell in row[1:5]] for row in rows[80:]}


IMITATIONS = {
    each.recipe: each
    for each in (
        Imitation("dog-breed-identification", dog_breeds, log_loss, 1.0, "min"),
        Imitation("herbarium-2022-fgvc9", herbarium_2022, macro_f1, 0.6),
        Imitation("histopathologic-cancer-detection", histopathology, roc_auc, 0.8),
        Imitation("hotel-id-2021-fgvc8", hotels, map_at_5, 0.6),
        Imitation("hubmap-kidney-segmentation", hubmap, dice, 0.7),
        Imitation("imet-2020-fgvc7", imet_2020, micro_f1, 0.7),
        Imitation("invasive-species-monitoring", invasive, roc_auc, 0.8),
        Imitation("iwildcam-2020-fgvc7", iwildcam_2020, accuracy, 0.6),
        Imitation("paddy-disease-classification", paddy, accuracy, 0.6),
        Imitation("ranzcr-clip-catheter-line-classification", ranzcr, roc_auc, 0.75),
        Imitation("tgs-salt-identification-challenge", salt, mask_precision, 0.5),
    )
}

"""Tiny projects: a folder with drawn raw files and params.yaml, for each task and raw format."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from darkroom.cli.main import main
from darkroom.cli.parser import BY_FOLD
from darkroom.images import rle
from darkroom.project import results
from tests.support.packed import tar_of, zip_of

Pixels = NDArray[np.uint8]
Params = dict[str, Any]
Files = dict[str, bytes]

ROOT = Path(__file__).parents[2]
NAME = "tiny"
TRAIN, TEST = 16, 5
KINDS = ("masks", "runs", "multilabel", "multiclass", "binary", "regression")
VERBS = (
    *("fetch", "index", "split", "preprocess", "audit", "train"),
    *("predict", "evaluate", "submission", "check"),
)
TASKS = {"masks": "segmentation", "runs": "segmentation"}
COLOURS = {"pear": (90, 190, 60), "10": (200, 70, 60), "a, b": (60, 80, 200)}
SIZES = ((40, 48), (36, 44), (48, 32))  # height, width of the test images, in turn


def png(pixels: Pixels, kind: str = "PNG") -> bytes:
    data = BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def disc(number: int, height: int = 40, width: int = 48) -> tuple[Pixels, Pixels]:
    """Return a bright disc on dark noise, uint8 (H, W, 3), and its mask of 0 and 1."""
    rng = np.random.default_rng(number)
    ys, xs = np.mgrid[:height, :width]
    y, x = height * rng.uniform(0.35, 0.65), width * rng.uniform(0.35, 0.65)
    mask = ((ys - y) ** 2 + (xs - x) ** 2 < rng.uniform(7, 12) ** 2).astype(np.uint8)
    noise = rng.integers(0, 90, (height, width, 3))
    return (noise + mask[..., None] * 150).astype(np.uint8), mask


def patch(number: int, colour: Iterable[int], height: int = 40, width: int = 48) -> Pixels:
    """Return a noisy patch of a colour, uint8 (H, W, 3)."""
    noise = np.random.default_rng(number).integers(-40, 40, (height, width, 3))
    return (np.array([*colour]) + noise).astype(np.uint8)


def project(root: Path, kind: str, **sections: Mapping[str, Any]) -> Path:
    """Make a project of one of KINDS, its raw files under `source`, and return its root.

    Args:
        root: A new folder.
        kind: What is predicted.
        sections: What to change, by section: `train={"epochs": 1}`.
    """
    tables, images, masks, data = _drawn(kind)
    source = root / "source"
    for name, lines in tables.items():
        put(source / name, "".join(f"{line}\n" for line in lines))
    zip_of(source / "train.zip", {f"train/{n}": d for n, d in images.items() if n[0] != "t"})
    zip_of(source / "test.zip", {n: d for n, d in images.items() if n[0] == "t"})
    if masks:
        zip_of(source / "masks.zip", masks)
    segments = TASKS.get(kind) == "segmentation"
    settings: Params = {
        "data": {"source": "source", "task": TASKS.get(kind, kind), **data},
        "split": {"by": "group" if kind != "multiclass" else "stratify", "folds": 2},
        "preprocess": {"height": 32, "width": 32, "fit": "pad", "store": "raw"},
        "model": {"name": "unet" if segments else "small_cnn", "width": 4, "depth": 2},
        "train": {
            "epochs": 2 if segments else 1,
            "batch_size": 4,
            "lr": 0.01,
            "augment": "flip",
            "workers": 0,
            "accelerator": "cpu",
        },
        # Trained so little, few pixels reach one half.
        "evaluate": {"threshold": "auto"} if segments else {},
        "predict": {},
    }
    for section, changes in sections.items():
        settings[section] = settings.get(section, {}) | changes
    write_params(root, settings, folds=[0, 1] if kind == "masks" else [0])
    return root


def write_params(root: Path, settings: Params, *, folds: list[int], seed: int = 7) -> None:
    params = {
        "seed": seed,
        "competitions": [NAME],
        "folds": folds,
        "transfers": [],
        "blends": [],
        "pseudo_labels": [],
        NAME: settings,
    }
    (root / "params.yaml").write_text(yaml.dump(params, Dumper=yaml.CSafeDumper))


def edit(root: Path, change: Callable[[Params], object]) -> None:
    """Let a function change the parameters in place."""
    file = root / "params.yaml"
    params = yaml.load(file.read_text(), yaml.CSafeLoader)
    change(params)
    file.write_text(yaml.dump(params, Dumper=yaml.CSafeDumper))


def put(path: Path, data: bytes | str) -> None:
    """Write a new file, even where a hard link of the old one stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def run(*verbs: str) -> None:
    """Run verbs on the project in the current folder; each must end well."""
    for verb in verbs:
        for extra in folds_of(verb):
            assert main([verb, NAME, *extra]) == 0, verb


def folds_of(verb: str) -> list[list[str]]:
    """Return the further arguments of each run of a verb: some run once a fold."""
    if verb not in BY_FOLD:
        return [[]]
    folds = yaml.load(Path("params.yaml").read_text(), yaml.CSafeLoader)["folds"]
    return [["--fold", str(fold)] for fold in folds]


def tree(root: Path) -> Files:
    """Return every file that stages made, by relative path; not TensorBoard's events."""
    inputs = (root / "source", root / "runs", root / "params.yaml")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.suffix != ".lock"
        and path.parent != root / results.NOTES  # of results for other sections
        and not any(path.is_relative_to(folder) for folder in inputs)
    }


def leftovers(root: Path) -> list[str]:
    """Return what should have gone: half-written files and folders, logs, hidden files.

    In .darkroom only the locks stay, one a competition and fold; the notes of results;
    and the counts of masks, which an edited threshold needs.
    """
    return [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*"))
        if not fnmatch(path.relative_to(root).as_posix(), ".darkroom/*.evaluate.*")
        if (path.name.startswith(".") and path.name != ".darkroom")
        or (path.parent.name == ".darkroom" and path.suffix != ".lock" and path.name != "results")
        or path.name.endswith((".part", ".old"))
    ]


def _drawn(kind: str) -> tuple[dict[str, list[str]], Files, Files, Params]:
    """Return a kind's tables by name, images, masks, and what params.yaml says of them."""
    names = [f"{number:03}" for number in range(TRAIN)]
    tests = [f"t{number}" for number in reversed(range(TEST))]
    sizes = {name: SIZES[place % 3] for place, name in enumerate(tests)}
    tables = {"train.csv": ["image,group"], "test.csv": ["image", *tests]}
    train: Params = {
        "table": "train.csv",
        "image": "train.zip/train/{image}.png",
        "group": "group",
    }
    data: Params = {
        "train": train,
        "test": {"table": "test.csv", "image": "test.zip/{0}.png"},
    }
    masks: Files = {}
    if kind in ("masks", "runs"):
        pictures = {name: disc(number) for number, name in enumerate(names)}
        images = {f"{name}.png": png(image) for name, (image, _) in pictures.items()}
        images |= {f"{n}.png": png(disc(99 - i, *sizes[n])[0]) for i, n in enumerate(tests)}
        data["header"] = ["image", "rle"]
        if kind == "masks":
            masks = {f"{name}_mask.png": png(mask * 255) for name, (_, mask) in pictures.items()}
            train |= {"mask": "masks.zip/{image}_mask.png"}
            cells = ["" for _ in names]
        else:
            train |= {"rle": "runs", "runs": {"order": "column"}}
            tables["train.csv"] = ["image,group,runs"]
            cells = [f",{rle.encode(mask, 'column')}" for _, mask in pictures.values()]
            data["runs"] = {"order": "row"}
    else:
        labels, targets, cells = _labels(kind)
        colours = list(COLOURS.values())
        images = {f"{n}.png": png(patch(i, colours[labels[i]])) for i, n in enumerate(names)}
        images |= {
            f"{n}.png": png(patch(99 - i, colours[i % 3], *sizes[n])) for i, n in enumerate(tests)
        }
        train["targets"] = targets
        data["header"] = ["image", *targets]
        tables["train.csv"] = [f"image,group,{','.join(targets)}"]
    tables["train.csv"] += [
        f"{name},g{number // 2}{cells[number]}" for number, name in enumerate(names)
    ]
    return tables, images, masks, data


def _labels(kind: str) -> tuple[list[int], list[str], list[str]]:
    """Return each training image's colour, the targets' names, and the cells of its row."""
    labels = [number % 3 for number in range(TRAIN)]
    if kind == "multiclass":
        texts = [f'"{text}"' for text in COLOURS]
        return labels, ["fruit"], [f",{texts[label]}" for label in labels]
    if kind == "binary":
        return labels, ["green"], [f",{'yes' if label == 0 else 'no'}" for label in labels]
    if kind == "multilabel":
        cells = [f",{(-1, 1)[label == 0]},{(-1, 1)[label < 2]}" for label in labels]
        return labels, ["green", "warm"], cells
    cells = [f",{label * 0.5},{100 - label}" for label in labels]
    return labels, ["depth", "height"], cells


def shipped(name: str) -> Params:
    """Return the data section of a competition in the params.yaml that ships."""
    params = yaml.load((ROOT / "params.yaml").read_text(), yaml.CSafeLoader)
    data: Params = params[name]["data"]
    return data


def carvana(source: Path) -> Params:
    """Draw two cars and one to predict, 16 views each; return the section's data and split."""
    train = [f"{car}_{view:02}" for car in ("0" * 12, "a" * 12) for view in range(1, 17)]
    test = [f"{'f' * 12}_{view:02}" for view in range(1, 17)]
    pictures = {name: disc(number, 20, 30) for number, name in enumerate(train + test)}
    jpegs = {name: png(image, "JPEG") for name, (image, _) in pictures.items()}
    zip_of(source / "train.zip", {f"train/{n}.jpg": jpegs[n] for n in train})
    zip_of(source / "test.zip", {f"test/{n}.jpg": jpegs[n] for n in test})
    gifs = {f"train_masks/{n}_mask.gif": png(pictures[n][1], "GIF") for n in train}
    zip_of(source / "train_masks.zip", gifs)
    cells = "".join(f"{name}.jpg,1 1\n" for name in test)
    put(source / "sample_submission.csv", f"img,rle_mask\n{cells}")
    return {"data": shipped("carvana"), "split": {"by": "group", "folds": 2}}


def celeba(source: Path) -> Params:
    """Draw eight faces with 40 attributes; return the section's data and split."""
    names = [f"{number:06}.jpg" for number in range(1, 9)]
    jpegs = {n: png(patch(i, (120, 90, 70), 22, 18), "JPEG") for i, n in enumerate(names)}
    zip_of(source / "img_align_celeba.zip", {f"img_align_celeba/{n}": jpegs[n] for n in names})
    heads = " ".join(f"A{number}" for number in range(40))
    rows = [
        f"{name} {' '.join(str((-1, 1)[(place * 3 + k) % 5 < 2]) for k in range(40))}"
        for place, name in enumerate(names)
    ]
    put(source / "list_attr_celeba.txt", "\r\n".join([str(len(names)), heads, *rows, ""]))
    parts = zip(names, "00001122", strict=True)
    put(source / "list_eval_partition.txt", "".join(f"{n} {part}\n" for n, part in parts))
    return {"data": shipped("celeba"), "split": {"by": "official"}}


def banknotes(source: Path) -> Params:
    """Draw seven notes, twice a part; return the section's data and split."""
    for shift, part in enumerate(("training", "validation", "test")):
        folder = f"{part}_data_pytorch"
        members = {
            f"{folder}/{n}.jpeg": png(patch(100 * shift + n, (30 * (n % 7), 90, 90)), "JPEG")
            for n in range(14)
        }
        tar_of(source / f"{folder}.tar.gz", members)
        rows = "".join(f"{n},{5 + n % 7},{n}.jpeg,{n % 7}\n" for n in range(14))
        put(source / f"{part}_labels.csv", f",denomination,filename,y\n{rows}")
    return {"data": shipped("banknotes"), "split": {"by": "official"}}


FORMATS: dict[str, Callable[[Path], Params]] = {
    "carvana": carvana,
    "celeba": celeba,
    "banknotes": banknotes,
}


def imitation(root: Path, format: str) -> Path:
    """Make a project with tiny files in the layout of a real format, and return its root."""
    settings = FORMATS[format](root / "source")
    settings["data"]["source"] = "source"
    settings |= {
        "preprocess": {"height": 16, "width": 16},
        "model": {"name": "unet", "width": 4, "depth": 2},
        "train": {"epochs": 1, "batch_size": 4, "lr": 0.01},
        "evaluate": {},
        "predict": {},
    }
    if format != "carvana":
        settings["model"]["name"] = "small_cnn"
    write_params(root, settings, folds=[0])
    return root

"""CelebA as torchvision reads it: items a second, and how long it takes to start.

    python -m benchmarks.celeba [--rows 202599] [--faces FOLDER] [--quick] [--json FILE]

Items: `torchvision.datasets.CelebA` opens each unpacked JPEG with Pillow, resizes it to 110x90,
crops 96x80 and makes a tensor, in a DataLoader; ours reads 96x80 shards, raw (as params.yaml says)
and JPEG, through the loader of training. Both give batches of 64 uint8 pictures with 40 labels.

Start: all that comes before the first batch, at the full number of rows: torchvision parses five
text tables (its check of their md5 is left out); ours reads the index, the split and JPEG shards,
whose sha256 it compares, and makes the labels of the training images. The tables are drawn; the
files are small, for none of their pixels is looked at. Ratios are of CPU seconds.
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import CelebA
from torchvision.transforms import v2

from benchmarks import REALDATA, scale
from benchmarks.harness import Goal, Report, Table, parser, run_module, take_turns
from benchmarks.loader import face_files, face_store, read_all, read_ours
from darkroom.images import codec
from darkroom.index.table import read_index
from darkroom.project.files import file_sha256
from darkroom.project.paths import Layout
from darkroom.stages._inputs import read_part, read_train
from darkroom.stages._train_args import target_array
from darkroom.store.loader import loader
from darkroom.store.manifest import write_manifest
from darkroom.store.shard import ShardFormat
from darkroom.store.store import StoredImage, rows_per_shard, shard_name, write_shard

ROWS, QUICK_ROWS = 202_599, 600
ITEMS, QUICK_ITEMS = 2_048, 64
BATCH_SIZE = 64
ITEM_GOAL, START_GOAL = 4, 10
ITEMS_OF = ("torchvision CelebA", "Darkroom, raw", "Darkroom, JPEG")


class Unchecked(CelebA):  # type: ignore[misc]  # untyped
    """CelebA from drawn tables, whose md5 are others."""

    def _check_integrity(self) -> bool:
        return True


def draw_rest(folder: Path, rows: int) -> None:
    """Draw the three tables that torchvision reads and we do not."""
    names = [f"{number:06}.jpg" for number in range(1, rows + 1)]
    boxes = "x_1 y_1 width height"
    points = " ".join(
        f"{place}_{axis}"
        for place in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
        for axis in "xy"
    )
    for table, header, columns in (
        ("identity_CelebA", None, 1),
        ("list_bbox_celeba", boxes, 4),
        ("list_landmarks_align_celeba", points, 10),
    ):
        values = np.random.default_rng(2).integers(1, 218, (rows, columns)).tolist()
        with (folder / f"{table}.txt").open("w") as file:
            file.write("" if header is None else f"{rows}\n{header}\n")
            for name, row in zip(names, values, strict=True):
                file.write(f"{name} {' '.join(map(str, row))}\n")


def torchvision_folder(root: Path, rows: int, files: Sequence[bytes]) -> Path:
    """Draw a root of torchvision's CelebA: tables of many rows, and as many pictures as given."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    scale.draw_celeba_tables(folder, rows)
    draw_rest(folder, rows)
    for number, data in enumerate(files, 1):
        (folder / f"img_align_celeba/{number:06}.jpg").write_bytes(data)
    return root


def measure_items(faces: Path, work: Path, count: int, rounds: int) -> Report:
    """Return how many pictures of batches a second each reads."""
    files, _ = face_files(faces)
    root = torchvision_folder(work / "items", count, [files[n % len(files)] for n in range(count)])
    transform = v2.Compose([v2.Resize([110, 90]), v2.CenterCrop([96, 80]), v2.PILToTensor()])
    dataset = Unchecked(root, split="all", transform=transform)
    targets = dataset.attr.numpy().astype(np.float32)
    contenders = {ITEMS_OF[0]: partial(read_all, DataLoader(dataset, BATCH_SIZE, shuffle=True))}
    for name, kind in zip(ITEMS_OF[1:], ("raw", "jpeg"), strict=True):
        store = face_store(faces, work / kind, count, kind)  # type: ignore[arg-type]
        options: dict[str, Any] = {"masks": False, "batch_size": BATCH_SIZE, "seed": 0}
        contenders[name] = partial(read_ours, loader(store, range(count), targets, **options))
    rates = take_turns(contenders, rounds)
    table = Table(["", "img/s", "img a CPU s", "against torchvision"], title="items")
    goals = []
    for name, rate in rates.items():
        ratio = rate.cpu / rates[ITEMS_OF[0]].cpu
        table.rows.append([name, rate.wall, rate.cpu, ratio])
        if name != ITEMS_OF[0]:
            goals.append(Goal(f"items: {name}", ratio, ITEM_GOAL))
    return Report("", [table], goals)


def make_project(work: Path, rows: int) -> Layout:
    """Draw raw files of many rows, index and split them, and write shards of the images."""
    raw = work / "drawn"
    raw.mkdir()
    scale.draw_celeba_tables(raw, rows)
    face = scale.picture(0, 96, 80, np.zeros((96, 80, 3), np.uint8))
    names = (f"img_align_celeba/{number:06}.jpg" for number in range(1, rows + 1))
    # Bytes behind a JPEG's end are ignored: they make each file another one.
    contents = (face + number.to_bytes(4, "big") for number in range(rows))
    scale.write_zip(raw / "img_align_celeba.zip", names, contents)
    root = work / "project"
    scale.make_project(root, "celeba", raw)
    for verb in ("fetch", "index", "split"):
        run_module("darkroom.cli.main", verb, scale.NAME, folder=root)
    paths = Layout(scale.NAME, root=root)
    index = read_index(paths.index, paths.card)
    pixels = codec.encode_jpeg(codec.decode_image(face), 90)
    write_shards(
        paths.processed, index.rows.loc[index.rows["part"] == "train", "id"].tolist(), pixels
    )
    return paths


def write_shards(folder: Path, ids: Sequence[str], picture: bytes) -> None:
    """Write shards of one picture under many names, and their digests."""
    folder.mkdir(parents=True)
    size, digests = rows_per_shard(len(ids)), {}

    def rows(start: int) -> Iterator[StoredImage]:
        return (StoredImage(name, picture, b"", 218, 178) for name in ids[start : start + size])

    for number, start in enumerate(range(0, len(ids), size)):
        path = folder / shard_name("train", number)
        write_shard(path, rows(start), ShardFormat(96, 80, "crop", "jpeg"))
        digests[path.name] = file_sha256(path)
    write_manifest(folder, digests)


def start_ours(paths: Layout) -> int:
    """Do what a training does before its first batch."""
    index = read_index(paths.index, paths.card)
    shards, rows = read_part(paths, index, "train")
    folds, _ = read_train(paths, index)
    targets = target_array(rows, index.card)
    assert targets is not None
    assert len(shards) == len(folds) == len(targets)
    return 1


def start_torchvision(root: Path) -> int:
    """Open the training part."""
    return int(len(Unchecked(root, split="train")) > 0)


def measure_start(work: Path, rows: int, rounds: int) -> Report:
    """Return how long both take from nothing to labels and pictures at hand."""
    root, paths = torchvision_folder(work / "start", rows, []), make_project(work, rows)
    rates = take_turns(
        {
            ITEMS_OF[0]: partial(start_torchvision, root),
            ITEMS_OF[2]: partial(start_ours, paths),
        },
        rounds,
    )
    table = Table(["", "CPU s", "against torchvision"], title=f"start, {rows:,} rows")
    base = rates[ITEMS_OF[0]].cpu
    table.rows += [[name, 1 / rate.cpu, rate.cpu / base] for name, rate in rates.items()]
    goal = Goal(f"start, {rows:,} rows: Darkroom", rates[ITEMS_OF[2]].cpu / base, START_GOAL)
    return Report("", [table], [goal])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("celeba", __doc__)
    choices.add_argument("--rows", type=int, default=ROWS, help="of the tables, for the start")
    choices.add_argument("--faces", type=Path, default=REALDATA / "celeba", help="of CelebA's zip")
    options = choices.parse_args(arguments)
    torch.set_num_threads(1)
    rounds = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        count = QUICK_ITEMS if options.quick else ITEMS
        items = measure_items(options.faces, Path(folder), count, rounds)
        start = measure_start(Path(folder), QUICK_ROWS if options.quick else options.rows, rounds)
    kind = face_files(options.faces)[1]
    title = f"CelebA, {kind}, one process, one thread, medians of {rounds} rounds"
    Report(title, items.tables + start.tables, items.goals + start.goals).finish(options)


if __name__ == "__main__":
    main()

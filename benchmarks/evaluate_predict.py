"""What predict and evaluate cost beside the network alone.

    python -m benchmarks.evaluate_predict [--data FOLDER] [--width 16] [--quick] [--json FILE]

Carvana pictures, stored at 959x640 as JPEG, and masks at 1918x1280. The limit is the network alone:
batches that lie in memory, normalised, through it and the sigmoid. `predict` reads them from the
shards, and digests, compresses and writes what it predicts, and its journal. `evaluate` reads
predictions, enlarges them, decodes raw masks and counts at 255 thresholds, with its journal.
`submission` turns the same predictions to run lengths in gzip. A second, tiny network shows what
the rest costs where the network costs nothing. All take turns in one run; the network has one
thread a core, as the stages have it (OMP_NUM_THREADS gives it another number). The goals are for
CPU time: no part takes longer than that, and a busy machine changes it little.
"""

import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.harness import Goal, Rate, Report, Table, parser, take_turns
from benchmarks.loader import (
    BATCH_SIZE,
    DATA,
    HEIGHT,
    WIDTH,
    Raw,
    drawn_pictures,
    real_pictures,
    shard,
)
from darkroom.images.geometry import cv2
from darkroom.index.card import Card
from darkroom.models.build import MEAN, STD, build_network, normalise
from darkroom.prediction.averaging import averaged
from darkroom.prediction.decision import Decision
from darkroom.prediction.masks.counts import MaskRules
from darkroom.prediction.masks.scores import score_masks
from darkroom.prediction.networks.predict import predict
from darkroom.prediction.predictions import Header, Prediction, Predictions, write_predictions
from darkroom.prediction.scoring import LabelledPredictions
from darkroom.project.journal import Journal
from darkroom.raw.archives import Archives
from darkroom.store.loader import Batch, loader
from darkroom.store.store import Store
from darkroom.submission.cells import write_rows
from darkroom.submission.writer import Writer

ALONE, PREDICT, EVALUATE, SUBMISSION = "network alone", "predict", "evaluate", "submission"
MOST = 0.10
CPU = torch.device("cpu")


class Work:
    """The stages' work on some pictures, in a folder.

    Args:
        folder: Is made.
        pictures: Raw ones.
    """

    def __init__(self, folder: Path, pictures: list[Raw]) -> None:
        (folder / "raw").mkdir(parents=True)
        self.folder = folder
        self.store: Store = shard(pictures, folder / "shards", "jpeg")
        with zipfile.ZipFile(folder / "raw" / "masks.zip", "w") as archive:
            for number, raw in enumerate(pictures):
                archive.writestr(f"{number:03d}.gif", raw.mask)
        self.archives = Archives(folder / "raw", folder / "unpacked")
        ids = self.store.ids
        self.rows = pd.DataFrame(
            {
                "id": list(ids),
                "image": list(ids),
                "mask": [f"masks.zip/{name}.gif" for name in ids],
                "mask_digest": [""] * len(ids),
            }
        )
        self.header = Header("valid", "segmentation", (1, HEIGHT, WIDTH), len(ids))
        self.kept = folder / "kept.arrow"
        write_predictions(self.kept, self.header, lambda _: self._softened())

    def _softened(self) -> Iterator[Prediction]:
        """Yield masks as a network that learned them would give them."""
        for first in range(0, len(self.store.ids), BATCH_SIZE):
            numbers = range(first, min(first + BATCH_SIZE, len(self.store.ids)))
            masks = self.store.masks(numbers).astype(np.float32)
            soft = np.stack([cv2.GaussianBlur(mask[0], (0, 0), 1.5)[None] for mask in masks])
            ids = [self.store.ids[number] for number in numbers]
            originals = self.store.originals[list(numbers)].astype(np.int64)
            yield Prediction(ids, soft.clip(0, 1), originals)

    def batches(self) -> Iterator[Batch]:
        """Return all pictures, read ahead as `predict` does."""
        rows = list(range(len(self.store.ids)))
        options = {"masks": False, "batch_size": BATCH_SIZE, "seed": None}
        return loader(self.store, rows, None, **options).read_ahead()  # type: ignore[arg-type]

    def alone(self, network: nn.Module, batches: Sequence[Batch]) -> int:
        """Ask the network, and do nothing else."""
        with torch.inference_mode():
            for batch in batches:
                images = normalise(batch.images, MEAN, STD)
                torch.sigmoid(network(images.contiguous(memory_format=torch.channels_last)))
        return len(self.rows)

    def predict(self, network: nn.Module) -> int:
        """Predict, and keep what is predicted."""
        journal = Journal(self.folder / "predictions.parts")
        write_predictions(
            self.folder / "predictions.arrow",
            self.header,
            lambda _: predict([network], self.batches(), "segmentation", CPU),
            journal=journal,
        )
        journal.path.unlink()
        return len(self.rows)

    def evaluate(self) -> int:
        """Count and score the kept predictions."""
        journal = Journal(self.folder / "counts.parts")
        fold = LabelledPredictions(
            self.rows, self.rows[:1], Predictions(self.kept).batches(), journal
        )
        options = {"rules": MaskRules(), "progress": lambda _: None}
        score_masks([fold], self.store, self.archives, **options)  # type: ignore[arg-type]
        journal.path.unlink()
        return len(self.rows)

    def submit(self) -> int:
        """Write the kept predictions as run lengths."""
        card = Card("segmentation", metric="dice", header=("img", "rle_mask"))
        with Writer(self.folder / "submission.csv.gz", card.header) as writer:
            each = averaged([Predictions(self.kept)])
            write_rows(writer, each, card, Decision(0.5), "stretch", lambda _: None)
        return len(self.rows)


def measure(work: Work, network: nn.Module, rounds: int) -> dict[str, Rate]:
    """Return the rates of the network alone and of the stages."""
    network.to(memory_format=torch.channels_last).eval()
    contenders: dict[str, Callable[[], int]] = {
        ALONE: partial(work.alone, network, list(work.batches())),
        PREDICT: partial(work.predict, network),
        EVALUATE: work.evaluate,
        SUBMISSION: work.submit,
    }
    return take_turns(contenders, rounds)


def tabulate(rates: Mapping[str, Mapping[str, Rate]], judged: str) -> Report:
    """Return a table a network, and the goals of one of them.

    Args:
        rates: By network, by contender.
        judged: The network that the goals are for.
    """
    header = ["", "ms an image", "CPU ms an image", "beside the network alone", "of its CPU time"]
    report = Report("")
    for title, each in rates.items():
        table, limit = Table(header, title=title), each[ALONE]
        for name, rate in each.items():
            extra = 1 if name == PREDICT else 0
            shares = limit.wall / rate.wall - extra, limit.cpu / rate.cpu - extra
            cells = [None, None] if name == ALONE else [f"{share:+.1%}" for share in shares]
            table.rows.append([name, 1000 / rate.wall, 1000 / rate.cpu, *cells])
            if title == judged and name in (PREDICT, EVALUATE):
                what = f"{name}: the rest, of the network's CPU time"
                report.goals.append(Goal(what, 100 * shares[1], 100 * MOST, False, " %"))
        report.tables.append(table)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("evaluate_predict", __doc__)
    choices.add_argument("--data", type=Path, default=DATA, help="folder of Carvana's zip files")
    choices.add_argument("--width", type=int, default=16, help="of the U-Net (default 16)")
    options = choices.parse_args(arguments)
    is_real = (options.data / "train.zip").is_file()
    count, rounds, width = (2, 1, 2) if options.quick else (8, 3, options.width)
    pictures = real_pictures(options.data, count) if is_real else drawn_pictures(count)
    networks = {
        f"U-Net of width {width}": build_network("unet", outputs=1, seed=0, width=width),
        "tiny network": build_network("unet", outputs=1, seed=0, width=1, depth=1),
    }
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder) / "work", pictures)
        rates = {title: measure(work, network, rounds) for title, network in networks.items()}
    report = tabulate(rates, next(iter(networks)))
    kind = "real" if is_real else "drawn"
    report.title = (
        f"{count} {kind} pictures, batches of {BATCH_SIZE}, {torch.get_num_threads()} threads, "
        f"medians of {rounds} rounds"
    )
    report.finish(options)


if __name__ == "__main__":
    main()

"""The gain of a second fold, of mirrored views and of a chosen threshold, on held-out pictures.

    python -m benchmarks.ablation carvana [--groups N]

In a project whose images are preprocessed. Each group (a car, say) is held out in turn; of the
others two networks leave out one more each, to validate on: two folds. They predict alone and
together, with and without the mirrored view; the threshold is one half, or the best one on
their validation pictures. Scores are mean Dice at the original size over all the groups held out.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from darkroom.cli.main import read_context
from darkroom.errors import DataError
from darkroom.index.table import read_index
from darkroom.models.build import build_network
from darkroom.models.device import choose_device
from darkroom.prediction import thresholds
from darkroom.prediction.masks.counts import MaskRules
from darkroom.prediction.masks.scores import score_masks
from darkroom.prediction.networks.predict import predict
from darkroom.prediction.networks.tta import TTA
from darkroom.prediction.scoring import LabelledPredictions
from darkroom.raw.archives import Archives
from darkroom.stages import _train_args
from darkroom.stages._context import Context
from darkroom.stages._inputs import read_part
from darkroom.store.loader import loader
from darkroom.training.fit import Objective, fit

VIEWS = {"plain": TTA(), "hflip": TTA(transforms=("hflip",))}
HALF = thresholds.index_of(0.5)
Curve = NDArray[np.float64]  # mean Dice at each of thresholds.THRESHOLDS


class Bench:
    """One competition's pictures, and networks trained on some of its groups."""

    def __init__(self, context: Context, work: Path) -> None:
        self.context, self.work = context, work
        self.index = read_index(context.paths.index, context.paths.card)
        self.shards, self.rows = read_part(context.paths, self.index, "train")
        self.archives = Archives(context.paths.raw, context.paths.unpacked)
        if self.index.card.task != "segmentation":
            raise DataError("views of masks are compared here", found=self.index.card.task)

    def train(self, training: Sequence[str], validation: str, name: str) -> nn.Module:
        """Return a network trained on some groups, at the best epoch on another."""
        section, group = self.context.section, self.rows["group"]
        loaders = _train_args.train_loaders(
            self.shards,
            np.flatnonzero(group.isin(training)).tolist(),
            np.flatnonzero(group == validation).tolist(),
            None,
            section.train,
            self.index.card,
            self.context.seed,
        )
        arguments = _train_args.network_arguments(
            section, self.index.card, None, "", size=(self.shards.height, self.shards.width)
        )
        return fit(
            build_network(**arguments, seed=self.context.seed),
            *loaders,
            section.train,
            objective=Objective(
                "segmentation",
                _train_args.train_loss(section.train, self.index.card, None, None, iter(())),
            ),
            seed=self.context.seed,
            work_dir=self.work / name,
        ).net

    def curve(self, nets: Sequence[nn.Module], group: str, tta: TTA) -> Curve:
        """Return the mean Dice of a group's pictures at every threshold."""
        rows = self.rows[self.rows["group"] == group]
        batches = loader(
            self.shards, rows.index.tolist(), None, masks=False, batch_size=8, seed=None
        )
        device = choose_device("cpu")
        predictions = predict(nets, batches, "segmentation", device, tta=tta)
        evaluation = score_masks(
            [LabelledPredictions(rows, rows, predictions)],
            self.shards,
            self.archives,
            rules=MaskRules(threshold="auto"),
            progress=lambda _done: None,
        )
        return evaluation.curves["threshold"]["dice"].to_numpy(np.float64)


def table(bench: Bench, count: int) -> dict[tuple[str, str, str], float]:
    """Return the score by (folds, view, threshold), with that many groups held out in turn."""
    groups = sorted(bench.rows["group"].unique())
    if len(groups) < 4:
        raise DataError("too few groups to hold out two", found=len(groups), expected="4 or more")
    scores: dict[tuple[str, str, str], list[float]] = {}
    for place, held_out in enumerate(groups[:count]):
        rest = groups[place + 1 :] + groups[:place]
        nets = {
            validated: bench.train([g for g in rest if g != validated], validated, f"{place}-{k}")
            for k, validated in enumerate(rest[:2])
        }
        for view, tta in VIEWS.items():
            validation_curve = np.mean(
                [bench.curve([net], g, tta) for g, net in nets.items()], axis=0
            )
            best = thresholds.best_index(validation_curve)
            ensembles = {"one": [[net] for net in nets.values()], "two": [list(nets.values())]}
            for folds, groups_of_nets in ensembles.items():
                for ensemble in groups_of_nets:
                    curve = bench.curve(ensemble, held_out, tta)
                    scores.setdefault((folds, view, "0.5"), []).append(float(curve[HALF]))
                    scores.setdefault((folds, view, "chosen"), []).append(float(curve[best]))
        print(f"held out {place + 1} of {min(count, len(groups))}", flush=True)
    return {key: float(np.mean(values)) for key, values in scores.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a competition of params.yaml, of masks")
    parser.add_argument("--groups", type=int, default=4, help="how many to hold out (default 4)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        scores = table(Bench(read_context(options.name), Path(work)), options.groups)
    print("\n| folds averaged | views | threshold | Dice |\n|---|---|---|---|")
    for (folds, view, threshold), score in scores.items():
        print(f"| {folds} | {view} | {threshold} | {score:.4f} |")


if __name__ == "__main__":
    main()

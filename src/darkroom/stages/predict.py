"""predict: shards and a fold's network -> its predictions for the images of a part, which are kept.

No other stage asks a network after its training. What scores, blends, decides and writes reads
these files.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence

import pandas as pd
from tqdm import tqdm

from darkroom.index.table import Index, read_index
from darkroom.prediction.predictions import Header, Part, Prediction, write_predictions
from darkroom.project import fingerprint
from darkroom.project.journal import Journal
from darkroom.project.paths import Fold
from darkroom.project.work import discard_others, half_done
from darkroom.stages import _leaks, _network
from darkroom.stages._context import Context
from darkroom.stages._inputs import has_answers, read_part, read_train, require_same_store
from darkroom.stages._model_params import KEY, prediction_params
from darkroom.stages._network import TrainedNetwork
from darkroom.store.store import Store


def run(context: Context, fold: Fold = 0, part: Part = "valid") -> None:
    """Write the predictions of a fold's network: for what it validates, or for what is to submit.

    The file appears once it is complete.
    """
    name, paths = context.name, context.paths

    index = read_index(paths.index, paths.card)
    shards, rows = read_part(paths, index, "train" if part == "valid" else "test")
    require_same_store(context, shards)
    train, split_sha256 = read_train(paths, index)
    if part == "valid":
        rows = rows[(train["fold"] == fold).to_numpy()]
    trained = _network.load(
        context,
        fold,
        index.card,
        shards,
        context.section.predict,
        split_sha256=split_sha256 if part == "valid" else None,
    )
    leaked: list[str] = []
    if part == "valid" or has_answers(index.card, rows):
        leaked = _leaks.leaked_ids(paths, fold, rows, train[train["fold"] != fold])
    header = predictions_header(context, fold, part, index, shards, trained, rows, leaked)

    # Of another device, say, the same predictions have other bits.
    bits = json.dumps([header.fingerprint, trained.bits()])
    place = paths.work(hashlib.sha256(bits.encode()).hexdigest(), f"predict.{part}{fold}")
    title = f"predict {name}, fold {fold}, {part}"
    bar = tqdm(total=len(rows), desc=title, unit="img", file=sys.stderr, disable=None)

    def compute(done: int) -> Iterator[Prediction]:
        if done:
            print(f"{title}: going on after {done} of {len(rows)} images", file=sys.stderr)
        if done < len(rows):
            yield from trained.predict(shards, rows.iloc[done:])
        context.require_unchanged()

    path = paths.predictions(part, fold)
    with half_done(place) as folder, bar:
        journal = Journal(folder / "predictions.parts")
        write_predictions(path, header, compute, journal=journal, progress=bar.update)
    discard_others(place)
    print(f"{name}, fold {fold}: predictions of {len(rows)} images in {path}")


def predictions_header(
    context: Context,
    fold: Fold,
    part: Part,
    index: Index,
    shards: Store,
    trained: TrainedNetwork,
    rows: pd.DataFrame,
    leaked: Sequence[str],
) -> Header:
    """Return what a file of predictions for these rows is of."""
    outputs = trained.outputs
    has_masks = index.card.task == "segmentation"
    return Header(
        part=part,
        task=index.card.task,
        shape=(outputs, shards.height, shards.width) if has_masks else (outputs,),
        rows=len(rows),
        fit=shards.fit,
        fingerprint=fingerprint.stage_fingerprint(
            "predict",
            {"fold": fold, "part": part, "predict": trained.choice.model_dump(mode="json")},
            [context.paths.model(fold)],
            {"card": index.sha256, "split": trained.info["split_sha256"], **shards.digests},
        ),
        leaked=tuple(leaked),
        facts={
            "name": context.name,
            "fold": fold,
            "index": index.sha256,
            "split": trained.info["split_sha256"],
            "weights": trained.info["weights"],
            KEY: prediction_params(context),
        },
    )

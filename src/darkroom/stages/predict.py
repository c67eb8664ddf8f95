"""predict: shards, all folds and the decision -> a submission, written batch by batch."""

import sys

from tqdm import tqdm

from darkroom.index.table import read_index
from darkroom.params.evaluate import Predict
from darkroom.prediction.decision import read_decision
from darkroom.project import fingerprint
from darkroom.stages import _folds
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import read_part
from darkroom.submission.cells import cell_encoder
from darkroom.submission.writer import Writer


def run(context: Context) -> None:
    """Write a competition's submission; the file appears once it is complete."""
    name, paths = context.name, context.paths
    choice: Predict = context.section.predict

    index = read_index(paths.index, paths.card)
    shards, test = read_part(paths, index, "test")
    decision = read_decision(require(paths.decision, "evaluate", name), name, index.card.task)
    trained = _folds.load(context, index.card, shards, choice, decision.tta)

    digest = fingerprint.stage_fingerprint(
        "predict",
        {"folds": context.folds},
        [paths.index, paths.card, *shards.paths, paths.decision, *map(paths.model, context.folds)],
    )
    to_cells = cell_encoder(index.card, threshold=decision.threshold, fit=shards.fit)
    facts = {"fingerprint": digest, "threshold": decision.threshold, "folds": list(context.folds)}
    bar = tqdm(total=len(shards), desc=f"predict {name}", unit="img", file=sys.stderr, disable=None)
    with Writer(paths.submission, index.card.header, facts=facts) as writer, bar:
        for ids, probabilities, originals in trained.predict(context.folds, shards, test):
            cells = to_cells(probabilities, [(int(h), int(w)) for h, w in originals])
            for image_id, row in zip(ids, cells, strict=True):
                writer.write([image_id, *row])
            bar.update(len(ids))

    print(f"{name}: {writer.rows} rows in {paths.submission}")

"""predict: shards, all folds and the decision -> a submission, written batch by batch."""

import sys

from tqdm import tqdm

from darkroom.index.table import read_index
from darkroom.params.evaluate import Predict
from darkroom.prediction.decision import DEFAULT_THRESHOLD, read_decision
from darkroom.project import fingerprint
from darkroom.project.journal import Journal
from darkroom.project.work import discard_others, half_done
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
        [paths.decision, *map(paths.model, context.folds)],
        {"card": index.sha256, **shards.digests},
    )
    threshold = DEFAULT_THRESHOLD if decision.threshold is None else decision.threshold
    assert isinstance(threshold, float)
    to_cells = cell_encoder(index.card, threshold=threshold, fit=shards.fit)
    facts = {"fingerprint": digest, "threshold": threshold, "folds": list(context.folds)}
    bar = tqdm(total=len(shards), desc=f"predict {name}", unit="img", file=sys.stderr, disable=None)
    writer = Writer(paths.submission, index.card.header, facts=facts)
    place = trained.work_folder(context, "predict", digest)
    with half_done(place) as folder, bar, writer:
        journal = Journal(folder / "rows.parts")
        for part in journal:
            writer.write_lines(part)
        done = writer.rows
        if done:
            print(f"{name}: going on after {done} of {len(test)} images", file=sys.stderr)
        bar.update(done)
        rest = test.iloc[done:]
        batches = trained.predict(context.folds, shards, rest) if len(rest) else iter(())
        for ids, probabilities, originals in batches:
            cells = to_cells(probabilities, [(int(h), int(w)) for h, w in originals])
            part = writer.lines([image_id, *row] for image_id, row in zip(ids, cells, strict=True))
            journal.append(part)
            writer.write_lines(part)
            bar.update(len(ids))
        context.require_unchanged()

    discard_others(place)
    print(f"{name}: {writer.rows} rows in {paths.submission}")

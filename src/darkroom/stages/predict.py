"""predict: shards, all folds and the decision -> a submission, written batch by batch."""

import sys

from tqdm import tqdm

from darkroom.index.table import read_index
from darkroom.params.evaluate import Predict
from darkroom.prediction.decision import read_decision
from darkroom.project import fingerprint
from darkroom.project.journal import Journal
from darkroom.project.work import discard_others, half_done
from darkroom.stages import _folds
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import read_part
from darkroom.submission.cells import legal_values, row_encoder
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.own import own_digests
from darkroom.tasks.metrics.specs import get_metric


def run(context: Context) -> None:
    """Write a competition's submission; the file appears once it is complete."""
    name, paths = context.name, context.paths
    choice: Predict = context.section.predict

    index = read_index(paths.index, paths.card)
    card = index.card
    metric = get_metric(card.metric, card.task)
    shards, test = read_part(paths, index, "test")
    file = require(paths.decision, "evaluate", name)
    decision = read_decision(file, name, card.task, max(1, len(card.targets)))
    trained = _folds.load(context, card, shards, choice, decision.tta)

    digest = fingerprint.stage_fingerprint(
        "predict",
        {"folds": context.folds},
        [paths.decision, *map(paths.model, context.folds)],
        {"card": index.sha256, **shards.digests, **own_digests(card.metric)},
    )
    to_rows = row_encoder(card, metric, decision, shards.fit)
    facts = {"fingerprint": digest, "threshold": decision.threshold, "folds": list(context.folds)}
    bar = tqdm(total=len(shards), desc=f"predict {name}", unit="img", file=sys.stderr, disable=None)
    writer = Writer(paths.submission, card.header, facts=facts)
    place = trained.work_folder(context, "predict", digest)
    changed = 0
    with half_done(place) as folder, bar, writer:
        journal = Journal(folder / "rows.parts")
        for part in journal:
            changed += _write_part(writer, part)
        done = writer.images
        if done:
            print(f"{name}: going on after {done} of {len(test)} images", file=sys.stderr)
        bar.update(done)
        rest = test.iloc[done:]
        batches = trained.predict(context.folds, shards, rest) if len(rest) else iter(())
        for ids, predictions, originals in batches:
            values, illegal = legal_values(predictions, metric)
            rows = to_rows(ids, values, [(int(h), int(w)) for h, w in originals])
            lines = writer.lines(row for some in rows for row in some)
            part = f"{len(ids)} {illegal}\n".encode() + lines
            journal.append(part)
            changed += _write_part(writer, part)
            bar.update(len(ids))
        context.require_unchanged()

    discard_others(place)
    if changed:
        print(f"{name}: {changed} numbers below 0 are written as 0, for {metric.name}")
    images = "" if writer.rows == writer.images else f" of {writer.images} images"
    print(f"{name}: {writer.rows} rows{images} in {paths.submission}")


def _write_part(writer: Writer, part: bytes) -> int:
    """Add a batch's rows, behind a line of two numbers: its images, and how many values changed."""
    head, _, lines = part.partition(b"\n")
    images, changed = map(int, head.split())
    writer.write_lines(lines, images)
    return changed

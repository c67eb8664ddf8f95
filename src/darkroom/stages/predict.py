"""predict: shards, all folds and the decision -> a submission, streamed."""

import sys

from tqdm import tqdm

from darkroom.index import table
from darkroom.prediction import decision
from darkroom.project import fingerprint
from darkroom.stages import _context
from darkroom.stages import _context as setting
from darkroom.stages import _folds as trained
from darkroom.submission.answers import answerer
from darkroom.submission.writer import Writer


def run(name: str) -> None:
    """Write a competition's submission; it appears when its last row is there."""
    here = setting.read(name)
    paths, choice = here.paths, here.section.predict

    known = table.read(paths.index, paths.card)
    shards, test = _context.of(paths, known, "test")
    decided = decision.read(setting.require(paths.decision, "evaluate", name), name)
    nets = trained.load(here, known.card, shards, choice, decided.how)
    threshold = decided.threshold

    stamp = fingerprint.of(
        "predict",
        {"folds": here.folds},
        [paths.index, paths.card, *shards.paths, paths.decision, *map(paths.model, here.folds)],
    )
    answer = answerer(known.card, threshold=threshold, fit=shards.fit)
    facts = {"fingerprint": stamp, "threshold": threshold, "folds": list(here.folds)}
    bar = tqdm(total=len(shards), desc=f"predict {name}", unit="img", file=sys.stderr, disable=None)
    with Writer(paths.submission, known.card.header, facts=facts) as writer, bar:
        for ids, probabilities, originals in nets.ask(here.folds, shards, test):
            cells = answer(probabilities, [(int(h), int(w)) for h, w in originals])
            for row_id, row in zip(ids, cells, strict=True):
                writer.write([row_id, *row])
            bar.update(len(ids))

    print(f"{name}: {writer.rows} rows in {paths.submission}")

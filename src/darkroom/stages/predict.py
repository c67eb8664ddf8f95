"""predict: shards, all folds and the decision -> a submission, streamed."""

import json
import sys

from tqdm import tqdm

from darkroom import fingerprint, index
from darkroom.errors import ArtifactError
from darkroom.layout import Layout
from darkroom.stages import nets as trained
from darkroom.stages import pictures, setting
from darkroom.submission.answers import answerer
from darkroom.submission.writer import Writer

HALF = 0.5


def run(name: str) -> None:
    """Write a competition's submission; it appears when its last row is there."""
    here = setting.read(name)
    paths, choice = here.paths, here.section.predict

    known = index.read(paths.index, paths.card)
    shards, test = pictures.of(paths, known, "test")
    nets = trained.load(here, known.card, shards, choice)
    threshold = _threshold(paths, name)

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


def _threshold(paths: Layout, name: str) -> float:
    path = setting.require(paths.decision, "evaluate", name)
    try:
        threshold = json.loads(path.read_text())["threshold"]
        threshold = HALF if threshold is None else float(threshold)  # a class needs none
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}")
        return threshold
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            "it holds no threshold",
            file=path,
            found=error,
            fix=f"run `dvc repro -sf evaluate@{name}`",
        ) from error

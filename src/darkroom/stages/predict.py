"""predict: shards, all folds and the decision -> a submission, streamed."""

import json
import sys

from tqdm import tqdm

from darkroom import dataset, fingerprint, index, inference
from darkroom.errors import ArtifactError
from darkroom.layout import Layout
from darkroom.models import saved
from darkroom.stages import setting
from darkroom.store import Store
from darkroom.submission.answers import answerer
from darkroom.submission.writer import Writer

HALF = 0.5


def run(name: str) -> None:
    """Write a competition's submission; it appears when its last row is there."""
    here = setting.read(name)
    paths, choice = here.paths, here.section.predict

    known = index.read(paths.index, paths.card)
    shards = Store(setting.require(paths.processed, "preprocess", name), "test")
    expected = known.rows.loc[known.rows["part"] == "test", "id"].tolist()
    if shards.ids != expected:
        raise ArtifactError(
            "its test images are not those of the index",
            file=paths.processed,
            fix=f"run `dvc repro preprocess@{name}`",
        )
    folders = [setting.require(paths.model(fold), "train", name) for fold in here.folds]
    loaded = [saved.load(folder) for folder in folders]
    threshold = _threshold(paths, name)

    story = fingerprint.of(
        "predict",
        {"folds": here.folds},
        [paths.index, paths.card, paths.processed, paths.decision, *folders],
    )
    answer = answerer(known.card, threshold=threshold, fit=shards.fit)
    batches = dataset.loader(
        shards, range(len(shards)), None, batch_size=choice.batch_size, seed=None
    )
    predictions = inference.probabilities(
        [net for net, _ in loaded], batches, known.card.task, inference.device_for("auto")
    )
    facts = {"fingerprint": story, "threshold": threshold, "folds": list(here.folds)}
    bar = tqdm(total=len(shards), desc=f"predict {name}", unit="img", file=sys.stderr)
    with Writer(paths.submission, known.card.header, facts=facts) as writer, bar:
        for ids, probabilities, originals in predictions:
            cells = answer(probabilities, [(int(h), int(w)) for h, w in originals])
            for row_id, row in zip(ids, cells, strict=True):
                writer.write([row_id, *row])
            bar.update(len(ids))

    print(f"{name}: {writer.rows} rows in {paths.submission}")


def _threshold(paths: Layout, name: str) -> float:
    path = setting.require(paths.decision, "evaluate", name)
    try:
        threshold = json.loads(path.read_text())["threshold"]
        return HALF if threshold is None else float(threshold)  # a class needs none
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            "it holds no threshold",
            file=path,
            found=error,
            fix=f"run `dvc repro -f evaluate@{name}`",
        ) from error

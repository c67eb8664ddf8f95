"""submission: kept predictions of test images, averaged over folds, and the decision -> the file.

It asks no network, and imports none.
"""

from darkroom.errors import ArtifactError
from darkroom.index.table import read_index
from darkroom.prediction.decision import read_decision
from darkroom.project import fingerprint
from darkroom.stages._context import Context, require
from darkroom.stages._predictions import networks_of, read_predictions
from darkroom.stages._submission import write_submission, write_test_scores
from darkroom.tasks.metrics.own import own_digests


def run(context: Context) -> None:
    """Write a competition's submission, and its scores if the answers are known."""
    name, paths = context.name, context.paths
    index = read_index(paths.index, paths.card, ("id", "part"))
    card = index.card
    ids = index.rows.loc[index.rows["part"] == "test", "id"]
    predictions = read_predictions(context, "test", index, dict.fromkeys(context.folds, ids))
    file = require(paths.decision, "evaluate", name)
    decision = read_decision(file, name, card.task, max(1, len(card.targets)))
    if decision.networks != networks_of(predictions):
        raise ArtifactError(
            "it was chosen on the predictions of other networks than those that predicted the test "
            "images",
            file=file,
            fix=f"run `dvc repro submission@{name}`, which evaluates first",
        )
    sources = [*predictions.values()]

    digest = fingerprint.stage_fingerprint(
        "submission",
        {"folds": context.folds},
        [paths.decision, *(each.path for each in sources)],
        {"card": index.sha256, **own_digests(card.metric)},
    )
    facts = {"fingerprint": digest, "threshold": decision.threshold, "folds": list(context.folds)}
    fit = sources[0].header.fit
    unchanged = context.require_unchanged
    write_submission(paths, index, decision, fit, sources, facts, unchanged)
    write_test_scores(paths, index, decision, sources)

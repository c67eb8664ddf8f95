"""blend: kept predictions of several sections -> blended ones, their scores, a submission.

It asks no network, and imports none. Reports and submission are made as those of a single section.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom.index.card import with_names
from darkroom.index.table import Index, read_index
from darkroom.prediction.averaging import aligned
from darkroom.prediction.blending.fitting import Blend, fit_blend
from darkroom.prediction.blending.mixes import WeightedMean
from darkroom.prediction.blending.saved import write_mixes
from darkroom.prediction.label_scores import Evaluation
from darkroom.prediction.predictions import (
    Header,
    Part,
    Prediction,
    Predictions,
    write_predictions,
)
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.project import files, fingerprint
from darkroom.project.paths import Fold, Layout
from darkroom.stages._blend_sample import Members, read_sample, sources_of
from darkroom.stages._context import Context
from darkroom.stages._evaluation import Validation, evaluate_predictions, score_predictions
from darkroom.stages._inputs import read_part, read_train
from darkroom.stages._predictions import FoldT, read_predictions
from darkroom.stages._submission import write_submission, write_test_scores
from darkroom.tasks.metrics.own import own_digests
from darkroom.tasks.metrics.specs import MetricSpec, get_metric


def run(context: Context) -> None:
    """Blend the members that `blends` names, score the blend beside them, and write all of it."""
    paths = context.paths
    first = replace(context.members[0], require_unchanged=context.require_unchanged)
    index = read_index(first.paths.index, first.paths.card)
    shards, _ = read_part(first.paths, index, "train")
    train, split_sha256 = read_train(first.paths, index)
    index = replace(index, card=with_names(index.card, paths.class_names))
    data = Validation(index, shards, train, split_sha256)
    test_ids = index.rows.loc[index.rows["part"] == "test", "id"].tolist()
    valid = _read(context, "valid", index, data.ids(context.validated_folds), split_sha256)
    test = _read(context, "test", index, dict.fromkeys(context.folds, test_ids), None)

    choice = context.section.evaluate
    sample, places = read_sample(data, valid, choice)
    assert context.blend is not None, "the command line has refused what is no blend"
    blend = fit_blend(context.blend.method, sample, places, context.seed)
    digest = _fingerprint(context, data, [*valid.values(), *test.values()])
    _write_predictions(context, data, blend, valid, test, digest)

    blended = {fold: Predictions(paths.predictions("valid", fold)) for fold in valid}
    evaluation = evaluate_predictions(first, data, blended, choice, paths)
    members = {
        member.name: score_predictions(
            first,
            data,
            {fold: each[place] for fold, each in valid.items()},
            choice,
            _counts_layout(context, member),
        )
        for place, member in enumerate(context.members)
    }
    report = _report(context, data, blend, evaluation, members, valid)
    files.write(paths.blend, json.dumps(report, indent=2) + "\n")
    print("\n".join(_lines(paths.name, report)))
    _submit(context, index, evaluation, digest)


def _counts_layout(context: Context, member: Context) -> Layout:
    """Return in whose name the masks of a member are counted.

    Its own, where it has stored and decided as the first member: then its counts are there already.
    Others would replace these, so they are the blend's.
    """
    first, own, paths = context.members[0].section, member.section, context.paths
    if (own.evaluate, own.preprocess) == (first.evaluate, first.preprocess):
        return member.paths
    return replace(paths, name=f"{paths.name}.{member.name}")


def _read(
    context: Context,
    part: Part,
    index: Index,
    ids: Mapping[FoldT, Collection[str]],
    split_sha256: str | None,
) -> dict[FoldT, list[Predictions]]:
    """Return by fold the predictions of each member."""
    by_member = [
        read_predictions(
            member, part, index, ids, split_sha256=split_sha256, owner=context.members[0].name
        )
        for member in context.members
    ]
    return {fold: [each[fold] for each in by_member] for fold in ids}


def _fingerprint(
    context: Context, data: Validation, members: Sequence[Sequence[Predictions]]
) -> str:
    assert context.blend is not None
    return fingerprint.stage_fingerprint(
        "blend",
        {
            "seed": context.seed,
            "folds": context.folds,
            "blend": context.blend.model_dump(exclude={"name"}),
            "evaluate": context.section.evaluate.model_dump(),
        },
        [],
        {
            "card": data.index.sha256,
            "split": data.split_sha256,
            # Names of members may change; the order of weights is that of the predictions.
            **{
                f"{number}.{place}": each.header.fingerprint
                for number, of_fold in enumerate(members)
                for place, each in enumerate(of_fold)
            },
            **data.shards.digests,
            **own_digests(data.card.metric),
        },
    )


def _write_predictions(
    context: Context,
    data: Validation,
    blend: Blend,
    valid: Members[int],
    test: Members[Fold],
    digest: str,
) -> None:
    """Write the blended predictions of all folds; they replace older ones once complete."""
    parts: tuple[tuple[Part, Members[Any]], ...] = (("valid", valid), ("test", test))
    with files.atomic_folder(context.paths.all_predictions) as folder:
        for part, members in parts:
            sources = sources_of(members)
            (folder / part).mkdir()
            for fold, each in members.items():
                leaked = {image_id for one in each for image_id in one.header.leaked}
                facts = {
                    "name": context.name,
                    "fold": fold,
                    "index": data.index.sha256,
                    "split": data.split_sha256,
                    "members": [member.name for member in context.members],
                }
                header = replace(
                    each[0].header,
                    part=part,
                    fingerprint=digest,
                    leaked=tuple(sorted(leaked)),
                    facts=facts,
                )
                batches = _mixed(blend, part, fold, sources[fold])
                _write(folder / part / f"fold{fold}.arrow", header, batches)
        networks = {
            fold: [str(each.header.facts.get("weights")) for each in members]
            for fold, members in test.items()
        }
        write_mixes(folder / context.paths.mixes.name, blend, networks)
        context.require_unchanged()


def _write(path: Path, header: Header, batches: Iterator[Prediction]) -> None:
    write_predictions(path, header, lambda _: batches)


def _mixed(blend: Blend, part: Part, fold: Fold, sources: Sequence[Any]) -> Iterator[Prediction]:
    done = 0
    for batches in aligned(sources):
        ids, _, originals = batches[0]
        members = [batch.probabilities for batch in batches]
        if part == "valid" and isinstance(fold, int):  # fold all validates nothing
            mixed = blend.mix_validation(fold, members, done)
        else:
            mixed = blend.mix_test(fold, members)
        done += len(ids)
        yield Prediction(ids, mixed, originals)


def _report(
    context: Context,
    data: Validation,
    blend: Blend,
    evaluation: Evaluation,
    members: Mapping[str, Evaluation],
    valid: Members[int],
) -> dict[str, Any]:
    """Return the blend's score beside those of its members, as JSON values.

    Where thresholds are chosen, all scores are those by which half of the images are decided by the
    other half. `fitted` is the score of weights that saw all answers; of masks it is not computed.
    """
    spec = get_metric(data.card.metric, data.card.task)
    score, scores = _score(spec, evaluation), {k: _score(spec, e) for k, e in members.items()}
    best = max(scores, key=lambda name: _gain(spec, scores[name]))
    weights = blend.whole.weights if isinstance(blend.whole, WeightedMean) else None
    by_member = {
        name: {"score": value} | ({} if weights is None else {"weight": round(weights[place], 4)})
        for place, (name, value) in enumerate(scores.items())
    }
    assert context.blend is not None
    return {
        "metric": spec.name,
        "method": context.blend.method,
        "score": score,
        "fitted": _fitted_score(context, data, blend, valid, spec),
        "members": by_member,
        "best_member": best,
        "better": _is_better(spec, score, scores[best]),
    }


def _score(spec: MetricSpec, evaluation: Evaluation) -> float | None:
    metrics = evaluation.metrics
    return metrics.get(f"{spec.name}_cross_fitted", metrics[spec.name])


def _gain(spec: MetricSpec, score: float | None) -> float:
    """Return a score so that more is better."""
    if score is None:
        return float("-inf")
    return score if spec.best == "max" else -score


def _is_better(spec: MetricSpec, score: float | None, other: float | None) -> bool:
    """Return whether a score is better than another by more than the rounding of float32."""
    gain, least = _gain(spec, score), _gain(spec, other)
    return gain > least and not math.isclose(gain, least, rel_tol=1e-6)


def _fitted_score(
    context: Context, data: Validation, blend: Blend, valid: Members[int], spec: MetricSpec
) -> float | None:
    """Return the score of labels or values by the mix that is fitted to all of them."""
    if data.card.task == "segmentation":
        return None
    train = data.train
    labelled = [
        LabelledPredictions(
            train[train["fold"] == fold], train[train["fold"] != fold], _whole(blend, sources)
        )
        for fold, sources in sources_of(valid).items()
    ]
    choice = context.section.evaluate
    return _score(spec, score_labels(labelled, data.card, threshold=choice.threshold))


def _whole(blend: Blend, sources: Sequence[Any]) -> Iterator[Prediction]:
    for batches in aligned(sources):
        mixed = blend.whole([batch.probabilities for batch in batches])
        yield Prediction(batches[0].ids, mixed, batches[0].originals)


def _lines(name: str, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that a report is printed as."""

    def shown(score: float | None) -> str:
        return "not defined" if score is None else f"{score:.4f}"

    for member, values in report["members"].items():
        weight = f"  weight {values['weight']:.2f}" if "weight" in values else ""
        yield f"  {member:<24} {report['metric']} {shown(values['score'])}{weight}"
    fitted = "" if report["fitted"] is None else f"  (fitted {shown(report['fitted'])})"
    yield f"  {name:<24} {report['metric']} {shown(report['score'])}{fitted}"
    if not report["better"]:
        yield f"{name}: not better out of fold than {report['best_member']} alone: submit that one"


def _submit(context: Context, index: Index, evaluation: Evaluation, digest: str) -> None:
    """Write the submission, and its scores if the answers are known."""
    paths, decision = context.paths, evaluation.decision
    sources = [Predictions(paths.predictions("test", fold)) for fold in context.folds]
    facts = {"fingerprint": digest, "threshold": decision.threshold, "folds": list(context.folds)}
    fit, unchanged = sources[0].header.fit, context.require_unchanged
    write_submission(paths, index, decision, fit, sources, facts, unchanged)
    write_test_scores(paths, index, decision, sources)

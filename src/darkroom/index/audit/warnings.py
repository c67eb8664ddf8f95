"""The warnings of an audit: sentences on what its numbers mean, the worst first."""

from collections.abc import Iterator
from typing import Any

from darkroom.index.card import MOVED_PLANES, SIMILAR_GROUPS, UNLIKE_ANSWERS, similar_labels

Report = dict[str, Any]

_ADVICE = {
    UNLIKE_ANSWERS: "if the judge expects other words than training has, say what they mean in "
    "data.values; of masks, look at data.runs",
    SIMILAR_GROUPS: "if they are one, write it in one way, since two may part into two folds",
    MOVED_PLANES: "list data.test.image and data.valid.image as data.train.image",
}
"""What to do about a count whose name holds these words."""


def warnings(report: Report) -> list[str]:
    """Return what a reader should know of a report of `darkroom.index.audit.report`, worst first.

    First what makes a score untrue (leaks, contradictions), then what makes it easier than
    it looks (shortcuts), then what is missing or odd.
    """
    parts = (
        _leaks,
        _shortcut,
        _counts,
        _near,
        _masks,
        _alike,
        _classes,
        _unlearned,
        _targets,
        _ranges,
        _pictures,
    )
    return [sentence for part in parts for sentence in part(report)]


def _leaks(report: Report) -> Iterator[str]:
    exact = report["exact_duplicates"]
    for place, what in (
        ("across_folds", "are in more than one fold: their validation score cannot be trusted"),
        ("train_test", "are in both train and test: the answer to a test image is known"),
        (
            "contradictory",
            f"have different {'masks' if 'masks' in report else 'targets'} in train",
        ),
        ("within_train", "are in train, all in one fold"),
    ):
        count = exact[place]["sets"]
        if place == "within_train":
            count -= exact["across_folds"]["sets"]
        if count:
            example = " = ".join(exact[place]["first"][0][:2])
            yield f"{_many(count, 'set')} of byte-identical images {what} ({example})."


def _shortcut(report: Report) -> Iterator[str]:
    guess = report.get("size_shortcut")
    if guess and guess["gives_away"]:
        yield (
            f"The size of an image alone predicts {guess['target']} with "
            f"{guess['accuracy']:.1%} accuracy (the most common class: {guess['baseline']:.1%}): "
            "a shortcut that may not hold elsewhere."
        )


def _counts(report: Report) -> Iterator[str]:
    counts = report["counts"]["found"]
    for name, declared in report["counts"]["declared"].items():
        if name in counts and counts[name] != declared:
            yield f"{counts[name]} {name} are there, {declared} are declared."
        for words, advice in _ADVICE.items():
            if words in name:
                yield f"{declared} {name}: {advice}."


def _near(report: Report) -> Iterator[str]:
    near = report["near_duplicates"]
    for place, where in (("across_folds", "across folds"), ("train_test", "across train and test")):
        if pairs := near[place]["pairs"]:
            closest = near[place]["closest"][0]
            yield (
                f"{_many(pairs, 'pair')} of near duplicates {where}, the closest "
                f"{' and '.join(closest['images'])} ({closest['rms']:.1f} grey levels apart)."
            )
    if near["flat"]:
        yield f"{_many(near['flat'], 'image')} of one shade; not compared for near duplicates."


def _masks(report: Report) -> Iterator[str]:
    masks = report.get("masks", {})
    for kind, what in (
        ("without", "without a mask"),
        ("empty", "with an empty mask"),
        ("full", "all covered by the mask"),
    ):
        if kind in masks and (count := masks[kind]["count"]):
            yield f"{_many(count, 'training image')} {what} (such as {masks[kind]['first'][0]})."
    classes = masks.get("classes", {})
    absent = [name for name, each in classes.items() if not each["images"]]
    if absent:
        yield f"No training image shows {_first(absent)}."
    for fold in next(iter(classes.values()), {"images_by_fold": ()})["images_by_fold"]:
        lacking = [name for name, each in classes.items() if not each["images_by_fold"][fold]]
        lacking = [name for name in lacking if name not in absent]
        if lacking and fold != "-1":
            yield f"Fold {fold} has no image that shows {_first(lacking)}."


def _alike(report: Report) -> Iterator[str]:
    """Warn of labels that may be one."""
    names = {"": [*report.get("masks", {}).get("classes", {})]}
    train = report.get("targets", {}).get("train", {})
    if report["task"] == "multiclass":
        names = {f" of {target}": [*counts] for target, counts in train.items()}
    elif report["task"] == "multilabel":
        names = {"": [*train]}
    for where, labels in names.items():
        if sets := similar_labels(labels):
            yield (
                f"{_many(len(sets), 'set')} of classes{where} that differ only in the case or "
                f"form of their letters ({' and '.join(map(repr, sets[0]))}): are they one class?"
            )


def _classes(report: Report) -> Iterator[str]:
    """Warn of blanks that the submission will repeat."""
    if report["task"] != "multiclass":
        return
    for target, counts in report["targets"]["train"].items():
        blank = [name for name in counts if name != name.strip()]
        if blank:
            yield (
                f"Blanks around {_many(len(blank), 'class label')} of {target} (such as "
                f"{blank[0]!r}): the submission will repeat them."
            )


def _unlearned(report: Report) -> Iterator[str]:
    """Warn of folds whose training images know no value of a target: training refuses them."""
    train, folds = report.get("targets", {}).get("train", {}), report.get("targets_by_fold", {})
    count = {name: _known(values) for name, values in train.items()}
    for fold, targets in folds.items():
        own = {name: _known(values) for name, values in targets.items()}
        unlearned = [name for name in count if count[name] == own[name]]
        if unlearned and fold != "-1":
            yield (
                f"Fold {fold} can't be trained: no training image of it has a known value of "
                f"{_first(unlearned)}."
            )


def _known(values: Report) -> int:
    """Return how many images have a known value of a target."""
    return int(values["images"]) if "mean" in values else sum(values.values())


def _targets(report: Report) -> Iterator[str]:
    if report["task"] in ("regression", "segmentation"):
        return
    whole = set(_absent(report["targets"]["train"], report["task"]))
    if whole:
        yield f"No training image {_first(sorted(whole))}."
    unvalidated = _never_validated(report) - whole
    if unvalidated:
        yield (
            f"No fold validates images {_first(sorted(unvalidated))}: they are only trained on, "
            "and no score is of them."
        )
    for fold, targets in report["targets_by_fold"].items():
        absent = [name for name in _absent(targets, report["task"]) if name not in whole]
        absent = [name for name in absent if name not in unvalidated]
        if absent and fold != "-1":
            yield f"Fold {fold} has no image {_first(absent)}."


def _never_validated(report: Report) -> set[str]:
    """Return the values that no validated fold has an image of."""
    absent = [
        set(_absent(targets, report["task"]))
        for fold, targets in report["targets_by_fold"].items()
        if fold != "-1"
    ]
    return set.intersection(*absent) if absent else set()


def _absent(targets: Report, task: str) -> list[str]:
    """Return the values without an image: "of ten" (a class), "with Bald" or "without Bald"."""
    absent = []
    for target, counts in targets.items():
        names = [f"without {target}", f"with {target}"]
        if task == "multiclass":
            names = [f"of {name}" for name in counts]
        absent += [name for name, count in zip(names, counts.values(), strict=True) if not count]
    return absent


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _ranges(report: Report) -> Iterator[str]:
    for part, values in report["ranges"].items():
        if count := values["narrow"]["count"]:
            yield (
                f"{count} of {_many(values['sixteen_bits'], part + ' image')} of 16 bits use at "
                f"most {values['bits']} of them: their high bytes, which are stored, are nearly "
                f"black (such as {values['narrow']['first'][0]}). Set "
                "preprocess.levels."
            )
        if count := values["dark"]["count"]:
            yield (
                f"{_many(count, part + ' image')} nearly black, no value above 15 of 255 "
                f"(such as {values['dark']['first'][0]})."
            )


def _pictures(report: Report) -> Iterator[str]:
    for part in ("train", "test"):
        turned = sum(report["orientations"][part].values())
        if turned:
            yield (
                f"{_many(turned, part + ' image')} with an EXIF orientation, which is not applied: "
                "they may lie on their side."
            )
    modes = {part: set(report["modes"][part]) for part in ("train", "test")}
    if modes["train"] != modes["test"]:
        listed = "; ".join(f"{part} {', '.join(sorted(stored))}" for part, stored in modes.items())
        yield f"Pixels are stored differently in train and test: {listed}."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

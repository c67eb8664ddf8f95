"""The rules of the entries of `transfers`, `blends` and `pseudo_labels`."""

from pathlib import Path

from darkroom.params.competition import (
    Blend,
    Competition,
    Params,
    PseudoLabels,
    name_fault,
    no_section,
)

# Methods of a blend that are not for all tasks, and the metrics that they are not for.
_METHOD_TASKS = {
    "rank": ("multilabel", "binary"),
    "stack": ("multilabel", "multiclass", "binary", "regression"),
}
_OF_PROBABILITIES = ("log_loss", "weighted_log_loss")
_OF_THE_ORDER = ("roc_auc", "mean_column_auc", "average_precision", "mean_average_precision")
_SOURCES = ("source", "kaggle", "urls", "sample")  # where the same files come from


def transfer_faults(params: Params) -> list[str]:
    """Check that first weights have one source, and that they are used."""
    faults = []
    receivers = [each.to for each in params.transfers]
    for position, name in enumerate(receivers):
        if name not in params.sections:
            faults.append(f"transfers[{position}].to: {no_section(name, params.sections)}")
        elif name in receivers[:position]:
            faults.append(f"transfers[{position}].to: {name!r} appears twice")
        if "://" in params.transfers[position].source:
            faults.append(
                f"transfers[{position}].from: found {params.transfers[position].source!r}; "
                "download it, and name the file"
            )
        elif name in _sources(params, name):
            faults.append(
                f"transfers[{position}].from: found {params.transfers[position].source!r}, whose "
                f"models begin with those of {name} themselves; remove one of these transfers"
            )
    # A section that does not run may keep the `given` of an earlier recipe.
    for name in sorted(set(params.competitions) & set(params.sections)):
        weights = params.section(name).model.weights
        if weights == "given" and name not in receivers:
            faults.append(
                f"{name}.model.weights: found 'given', but transfers has no entry for it; add one: "
                f"[{{to: {name}, from: models/...}}], or a file"
            )
        if weights != "given" and name in receivers:
            faults.append(
                f"{name}.model.weights: found {weights or 'null'}, but transfers has an entry "
                "for it, which would not be used; set it to given, or remove the entry"
            )
    return faults


def _sources(params: Params, name: str) -> list[str]:
    """Return the competitions that a competition's first weights come from, nearest first."""
    givers = {
        each.to: Path(each.source).parts[1]
        for each in params.transfers
        if Path(each.source).parts[:1] == ("models",) and len(Path(each.source).parts) > 1
    }
    sources: list[str] = []
    while name in givers and givers[name] not in sources:
        name = givers[name]
        sources.append(name)
    return sources


def blend_faults(params: Params) -> list[str]:
    """Check that blends have names of their own, and members of the same data and split."""
    faults = []
    names = [blend.name for blend in params.blends]
    for position, blend in enumerate(params.blends):
        key = f"blends[{position}]"
        if fault := name_fault(blend.name):
            faults.append(f"{key}.name: a blend's name {fault}")
        elif blend.name in names[:position] or blend.name in params.sections:
            faults.append(f"{key}.name: {blend.name!r} is the name of another blend or section")
        unknown = [name for name in blend.members if name not in params.sections]
        for name in unknown:
            faults.append(f"{key}.members: {no_section(name, params.sections)}")
        faults += [
            f"{key}.members: {name!r} is not in competitions, so that nothing trains it; add it"
            for name in blend.members
            if name in params.sections and name not in params.competitions
        ]
        if len(set(blend.members)) < len(blend.members):
            faults.append(f"{key}.members: a section appears twice, found {blend.members}")
        if not unknown:
            faults += _member_faults(key, blend, params)
    return faults


def _member_faults(key: str, blend: Blend, params: Params) -> list[str]:
    """Check that members predict the same, and that the method is for it."""
    first, faults = params.section(blend.members[0]), []
    for name in blend.members[1:]:
        other = params.section(name)
        if differing := _differing_keys(first, other):
            faults.append(
                f"{key}.members: {name} differs from {blend.members[0]} in {', '.join(differing)}; "
                f"members share data and split: begin it with <<: *{blend.members[0]}"
            )
        elif first.data.task == "segmentation" and first.preprocess.fit != other.preprocess.fit:
            faults.append(
                f"{key}.members: {name} stores masks with fit {other.preprocess.fit}, and "
                f"{blend.members[0]} with {first.preprocess.fit}; give both the same"
            )
    data, threshold = first.data, first.evaluate.threshold
    if fault := method_fault(blend.method, data.task, data.metric, threshold):
        faults.append(f"{key}.method: {fault}; write greedy, convex or mean")
    return faults


def method_fault(
    method: str, task: str, metric: str | None, threshold: float | str | None
) -> str | None:
    """Return why a method can't blend members for a task and its metric; None if it can."""
    legal = _METHOD_TASKS.get(method)
    if legal is not None and task not in legal:
        return f"{method} is for {' and '.join(legal)}, and the task is {task}"
    if method != "rank" or metric in (*_OF_THE_ORDER, "map@3", "map@5"):
        return None
    if metric in _OF_PROBABILITIES:
        return f"{method} gives no probabilities, and the metric is {metric}"
    is_half = threshold is None and metric in (None, "accuracy")
    if is_half or isinstance(threshold, int | float):
        return (
            f"{method} gives no probabilities, and a threshold of {threshold or 0.5} is one: set "
            "evaluate.threshold to auto"
        )
    return None


def _differing_keys(first: Competition, other: Competition) -> list[str]:
    """Return the keys of data and split, but for where the files come from, that differ."""
    return [
        f"{part}.{field}"
        for part, one, two in (
            ("split", first.split, other.split),
            ("data", first.data, other.data),
        )
        for field in type(one).model_fields
        if field not in _SOURCES and getattr(one, field) != getattr(two, field, None)
    ]


def pseudo_label_faults(params: Params) -> list[str]:
    """Check that pseudo-labels come from other networks of the same data and split."""
    faults = []
    receivers = [each.to for each in params.pseudo_labels]
    for position, entry in enumerate(params.pseudo_labels):
        key, name, giver = f"pseudo_labels[{position}]", entry.to, entry.giver
        if name not in params.sections:
            faults.append(f"{key}.to: {no_section(name, params.sections)}")
            continue
        if name in receivers[:position]:
            faults.append(f"{key}.to: {name!r} appears twice")
        if name not in params.competitions:
            faults.append(f"{key}.to: found {name!r}, which does not run; add it to competitions")
        if giver not in params.competitions or giver not in params.sections:
            runs = "no network that runs has this name; add it to competitions"
            faults.append(f"{key}.from: found {entry.source!r}; {runs}")
            continue
        if name in _networks_before(params, name):
            faults.append(
                f"{key}.from: found {entry.source!r}, whose networks wait for those of {name} "
                "themselves; give the second training a section of its own: "
                f"{name}_second: {{<<: *{name}}}"
            )
        faults += _pair_faults(key, entry, params.section(giver), params.section(name))
        faults += [
            f"{key}.from: {other} has learned images that it validates (leakage: allow), and so "
            f"would {name}; take its first weights by fold"
            for other in sorted({giver, *_networks_before(params, name)})
            if (transfer := params.transfer(other)) and transfer.leakage == "allow"
        ]
    return faults


def _networks_before(params: Params, name: str) -> set[str]:
    """Return the sections that are trained before one: their weights or predictions enter it."""
    before, todo = set[str](), [name]
    while todo:
        each = todo.pop()
        givers = list[str]()
        if transfer := params.transfer(each):
            givers += Path(transfer.source).parts[1:2] if transfer.source[:7] == "models/" else ()
        if entry := params.pseudo_labels_of(each):
            givers.append(entry.giver)
        todo += [giver for giver in givers if giver not in before]
        before.update(givers)
    return before


def _pair_faults(
    key: str, entry: PseudoLabels, giver: Competition, receiver: Competition
) -> list[str]:
    """Check that a source predicts what a section learns, and what the confidence is for."""
    faults, task = [], receiver.data.task
    if differing := _differing_keys(giver, receiver):
        faults.append(
            f"{key}: {entry.source} differs from {entry.to} in {', '.join(differing)}; both share "
            "data and split: begin one with <<: *the_other"
        )
    elif task == "segmentation" and giver.preprocess.fit != receiver.preprocess.fit:
        faults.append(
            f"{key}: {entry.source} stores masks with fit {giver.preprocess.fit}, and {entry.to} "
            f"with {receiver.preprocess.fit}; give both the same"
        )
    confidence = entry.confidence
    if task == "regression" and confidence is not None:
        faults.append(
            f"{key}.confidence: found {confidence:g}, but a value has none; remove it: all test "
            "images are taken"
        )
    elif task != "regression" and confidence is None:
        faults.append(f"{key}.confidence: this key is missing; write 0.9, say")
    elif task in ("binary", "multilabel") and confidence is not None and confidence < 0.5:
        faults.append(
            f"{key}.confidence: found {confidence:g}, but of present and absent the more probable "
            "one has 0.5 or more"
        )
    return faults

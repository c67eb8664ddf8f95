"""Rules about several keys of params.yaml, which no single key can break."""

from difflib import get_close_matches
from pathlib import Path

from darkroom.params.competition import NAME, Blend, Competition, Params, PseudoLabels
from darkroom.params.data import KAGGLE, URLS, Source
from darkroom.params.data_rules import data_faults
from darkroom.params.model import EncoderUNet, Model, Timm, UNet
from darkroom.params.networks import backbone_fault
from darkroom.params.section import OBJECT_METRICS
from darkroom.project.paths import ALL

# Keys of masks alone, by section.
MASK_KEYS = {
    "predict": ("scales", "tiles"),
    "evaluate": ("min_area", "fill_holes", "largest", "separate"),
}

# Methods of a blend that are not for all tasks.
METHOD_TASKS = {
    "rank": ("multilabel", "binary"),
    "stack": ("multilabel", "multiclass", "binary", "regression"),
}
_SOURCES = ("source", "kaggle", "urls", "sample")  # where the same files come from


def broken_rules(params: Params) -> list[str]:
    """Return a line for each rule that the parameters break."""
    faults = [
        f"{name}: a competition's name is lower-case letters, digits and _, found {name!r}"
        for name in params.sections
        if not NAME.fullmatch(name)
    ]
    for position, name in enumerate(params.competitions):
        if name not in params.sections:
            near = get_close_matches(name, params.sections, n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; there are: {', '.join(params.sections)}"
            )
            faults.append(f"competitions[{position}]: {name!r} has no section{hint}")
    for key, values in (("competitions", params.competitions), ("folds", params.folds)):
        if len(set(values)) != len(values):
            faults.append(f"{key}: an entry appears twice, found {values}")
    if params.folds == [ALL]:
        faults.append(
            "folds: found all alone, but what is decided is decided on images that a network did "
            "not learn; add a number: [0, all]"
        )
    for name in sorted(set(params.competitions) & set(params.sections)):
        faults += _check_folds(name, params)
    faults += _check_transfers(params) + _check_blends(params)
    return faults + _check_pseudo_labels(params) + _check_sections(params)


def _check_folds(name: str, params: Params) -> list[str]:
    split = params.section(name).split
    count = 1 if split.by == "official" else split.folds
    if ALL in params.folds:
        return _check_all(name, params.section(name)) + _wrong_folds(name, params, count)
    return _wrong_folds(name, params, count)


def _check_all(name: str, section: Competition) -> list[str]:
    """Check that nothing of a fold without validation images is chosen by their metric."""
    train, faults = section.train, []
    if train.select != "last":
        faults.append(
            f"{name}.train.select: found {train.select}, but fold all validates nothing that could "
            "compare epochs; set it to last"
        )
    if train.schedule == "plateau":
        faults.append(
            f"{name}.train.schedule: found plateau, but fold all validates nothing that it could "
            "go by; name another"
        )
    return faults


def _wrong_folds(name: str, params: Params, count: int) -> list[str]:
    split = params.section(name).split
    wrong = [fold for fold in params.folds if fold != ALL and fold >= count]
    if not wrong:
        return []
    if split.by == "official":
        return [
            f"folds: found {wrong}, but {name} is split by its official partition, which has fold "
            f"0 alone; set {name}.split.by to stratify, or take {name} out of competitions"
        ]
    return [f"folds: found {wrong}, but {name}.split.folds is {count}: folds 0 to {count - 1}"]


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


def _check_transfers(params: Params) -> list[str]:
    """Check that first weights have one source, and that they are used."""
    faults = []
    receivers = [each.to for each in params.transfers]
    for position, name in enumerate(receivers):
        if name not in params.sections:
            near = get_close_matches(name, params.sections, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(f"transfers[{position}].to: {name!r} has no section{hint}")
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


def _check_blends(params: Params) -> list[str]:
    """Check that blends have names of their own, and members of the same data and split."""
    faults = []
    names = [blend.name for blend in params.blends]
    for position, blend in enumerate(params.blends):
        key = f"blends[{position}]"
        if not NAME.fullmatch(blend.name):
            faults.append(
                f"{key}.name: lower-case letters, digits and _ only, found {blend.name!r}"
            )
        elif blend.name in names[:position] or blend.name in params.sections:
            faults.append(f"{key}.name: {blend.name!r} is the name of another blend or section")
        unknown = [name for name in blend.members if name not in params.sections]
        for name in unknown:
            near = get_close_matches(name, params.sections, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(f"{key}.members: {name!r} has no section{hint}")
        faults += [
            f"{key}.members: {name!r} is not in competitions, so that nothing trains it; add it"
            for name in blend.members
            if name in params.sections and name not in params.competitions
        ]
        if len(set(blend.members)) < len(blend.members):
            faults.append(f"{key}.members: a section appears twice, found {blend.members}")
        if not unknown:
            faults += _check_members(key, blend, params)
    return faults


def _check_members(key: str, blend: Blend, params: Params) -> list[str]:
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
    task = first.data.task
    legal = METHOD_TASKS.get(blend.method)
    if legal is not None and task not in legal:
        faults.append(
            f"{key}.method: {blend.method} is for {' and '.join(legal)}, and the task is {task}; "
            "write greedy, convex or mean"
        )
    return faults


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


def _check_pseudo_labels(params: Params) -> list[str]:
    """Check that pseudo-labels come from other networks of the same data and split."""
    faults = []
    receivers = [each.to for each in params.pseudo_labels]
    for position, entry in enumerate(params.pseudo_labels):
        key, name, giver = f"pseudo_labels[{position}]", entry.to, entry.giver
        if name not in params.sections:
            near = get_close_matches(name, params.sections, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(f"{key}.to: {name!r} has no section{hint}")
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
        faults += _check_pair(key, entry, params.section(giver), params.section(name))
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


def _check_pair(
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


def _check_sections(params: Params) -> list[str]:
    """Check the keys of a section against each other."""
    faults = []
    for name, section in sorted(params.sections.items()):
        train = section.train
        if train.unfreeze_epoch is not None and train.freeze == "none":
            faults.append(f"{name}.train.unfreeze_epoch: set freeze: backbone first")
        if train.unfreeze_epoch is not None and train.unfreeze_epoch > train.epochs:
            faults.append(
                f"{name}.train.unfreeze_epoch: found {train.unfreeze_epoch}, but the training ends "
                f"after epoch {train.epochs}"
            )
        if train.select == "last" and train.patience is not None:
            faults.append(
                f"{name}.train.patience: found {train.patience}, but select: last compares no "
                "epochs; set it to null"
            )
        if train.average is not None and train.ema is not None:
            faults.append(
                f"{name}.train.average: found {train.average:g}, but ema averages the weights "
                "already; set one of them to null"
            )
        if train.batch_size % train.devices:
            faults.append(
                f"{name}.train.batch_size: found {train.batch_size}, which is not divisible by the "
                f"{train.devices} devices"
            )
        if isinstance(section.model, Timm) and (fault := backbone_fault(section.model.backbone)):
            faults.append(f"{name}.model.backbone: {fault}")
        if train.layer_decay is not None and not isinstance(section.model, Timm):
            faults.append(
                f"{name}.train.layer_decay: is for networks of timm; set {name}.train.rates, or "
                f"take one: {name}.model: {{name: timm, backbone: ...}}"
            )
        faults += _check_source(name, section.data)
        faults += data_faults(name, section.data)
        faults += _check_crop(name, section) + _check_evaluate(name, section)
        faults += _check_model(name, section.model) + _check_sampling(name, section)
    return faults


def _check_source(name: str, data: Source) -> list[str]:
    """Check that a remote source says what to fetch, each file under a name of its own."""
    faults = []
    if data.source == KAGGLE and data.kaggle is None:
        key = f"{name}.data.kaggle: a competition's name as in its address, or owner/name"
        hint = "set the source to urls" if data.urls else f"set {key}"
        faults.append(f"{name}.data.source: found kaggle, but not what to fetch; {hint}")
    if data.source == URLS and not data.urls:
        faults.append(
            f"{name}.data.source: found urls, but the list is empty; add {name}.data.urls: "
            "[{url: https://..., name: train.zip, sha256: ...}], or set the source to kaggle"
        )
    saved = [each.name for each in data.urls]
    if twice := sorted({each for each in saved if saved.count(each) > 1}):
        faults.append(f"{name}.data.urls: two files of the name {twice[0]}; rename one")
    return faults


def _check_crop(name: str, section: Competition) -> list[str]:
    """Check that a random crop fits the stored images."""
    crop, stored = section.train.crop, section.preprocess
    if crop is None or (crop[0] <= stored.height and crop[1] <= stored.width):
        return []
    return [
        f"{name}.train.crop: found {crop}, but {name}.preprocess stores images of "
        f"[{stored.height}, {stored.width}]"
    ]


def _check_model(name: str, model: Model) -> list[str]:
    """Check the keys of a network for masks against each other."""
    faults = []
    if isinstance(model, UNet) and model.deep_supervision and model.depth < 3:
        faults.append(
            f"{name}.model.deep_supervision: found depth {model.depth}, but it is for the levels "
            "between the coarsest and the finest; set depth to 3 or more"
        )
    if isinstance(model, EncoderUNet) and model.attention and min(model.decoder_channels) < 16:
        faults.append(
            f"{name}.model.decoder_channels: found {model.decoder_channels}, but attention: "
            f"{model.attention} squeezes the channels to a sixteenth; set each to 16 or more"
        )
    return faults


def _check_evaluate(name: str, section: Competition) -> list[str]:
    """Check that the keys of `predict` and `evaluate` apply to the task."""
    task, evaluate = section.data.task, section.evaluate
    faults = []
    is_set = evaluate.threshold not in (None, "auto")
    if is_set and task in ("multiclass", "regression"):
        faults.append(
            f"{name}.evaluate.threshold: found {evaluate.threshold}, but the task {task} has none; "
            "remove it"
        )
    if task != "segmentation":
        for part in ("predict", "evaluate"):
            keys = getattr(section, part)
            for key in MASK_KEYS[part]:
                if getattr(keys, key) != type(keys).model_fields[key].default:
                    faults.append(
                        f"{name}.{part}.{key}: is for masks, and the task is {task}; remove it"
                    )
    elif is_set and section.data.values:
        faults.append(
            f"{name}.evaluate.threshold: found {evaluate.threshold}, but of exclusive classes "
            "(data.values) a pixel has the most probable one; remove it"
        )
    metric = section.data.metric or "dice"
    if evaluate.separate and task == "segmentation" and metric not in OBJECT_METRICS:
        faults.append(
            f"{name}.evaluate.separate: is for metrics that count objects, "
            f"{' and '.join(OBJECT_METRICS)}, and the metric is {metric}; remove it"
        )
    return faults


def _check_sampling(name: str, section: Competition) -> list[str]:
    """Check that what is sampled, mixed and pasted suits the task."""
    task, train = section.data.task, section.train
    is_masks = task == "segmentation"
    unfit = {
        "mixup": bool(train.mixup) and (is_masks or task == "regression"),
        "cutmix": bool(train.cutmix) and task == "regression",
        "copy_paste": bool(train.copy_paste) and not is_masks,
        "sample": (train.sample == "balanced" and task == "regression")
        or (train.sample == "foreground" and not is_masks),
    }
    faults = [
        f"{name}.train.{key}: found {getattr(train, key)}, which does not work for the task "
        f"{task}; remove it"
        for key, is_unfit in unfit.items()
        if is_unfit
    ]
    if train.copy_paste and 0 in (section.data.values or {}):
        faults.append(
            f"{name}.train.copy_paste: objects are pasted, but data.values gives each pixel a "
            "class, 0 too: nothing tells objects from their ground; remove it"
        )
    mixing = [key for key in ("mixup", "cutmix") if getattr(train, key)]
    if mixing and train.batch_size // train.devices < 2:
        faults.append(
            f"{name}.train.{mixing[0]}: mixes the images of a batch, but each device gets a single "
            f"one: batch_size {train.batch_size}, devices {train.devices}; raise batch_size, or "
            f"remove {mixing[0]}"
        )
    if train.mix_p < 1 and not mixing:
        faults.append(f"{name}.train.mix_p: found {train.mix_p}, but mixup and cutmix are 0")
    if train.mix_until < 1 and not (mixing or train.copy_paste):
        faults.append(
            f"{name}.train.mix_until: found {train.mix_until}, but mixup, cutmix and copy_paste "
            "are 0"
        )
    return faults

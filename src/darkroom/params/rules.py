"""What no single key of params.yaml can tell: keys that contradict each other."""

from difflib import get_close_matches

from darkroom.params.competition import NAME, Competition, Params
from darkroom.params.data import KAGGLE, URLS, Data


def broken_rules(params: Params) -> list[str]:
    """Return the faults, one line each: names without sections, folds that are not cut."""
    faults = [
        f"{name}: a competition's name is lower-case letters, digits and _, found {name!r}"
        for name in params.sections
        if not NAME.fullmatch(name)
    ]
    for place, name in enumerate(params.competitions):
        if name not in params.sections:
            near = get_close_matches(name, params.sections, n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; there are: {', '.join(params.sections)}"
            )
            faults.append(f"competitions[{place}]: {name!r} has no section of its own{hint}")
    for key, values in (("competitions", params.competitions), ("folds", params.folds)):
        if len(set(values)) != len(values):
            faults.append(f"{key}: an entry is given twice, found {values}")
    for name in sorted(set(params.competitions) & set(params.sections)):
        faults += _impossible_folds(name, params)
    return faults + _transfers(params) + _sections(params)


def _impossible_folds(name: str, params: Params) -> list[str]:
    split = params.section(name).split
    count = 1 if split.by == "official" else split.folds
    wrong = [fold for fold in params.folds if fold >= count]
    if not wrong:
        return []
    if split.by == "official":
        return [
            f"folds: found {wrong}, but {name} is split by its official partition, which has fold "
            f"0 alone; set {name}.split.by to stratify, or take {name} out of competitions"
        ]
    return [f"folds: found {wrong}, but {name}.split.folds is {count}: folds 0 to {count - 1}"]


def _transfers(params: Params) -> list[str]:
    """Return first weights that nobody gives, or that are given twice or to nobody."""
    faults = []
    receivers = [each.to for each in params.transfers]
    for place, name in enumerate(receivers):
        if name not in params.sections:
            near = get_close_matches(name, params.sections, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(f"transfers[{place}].to: {name!r} has no section of its own{hint}")
        elif name in receivers[:place]:
            faults.append(f"transfers[{place}].to: {name!r} is given first weights twice")
    # A section that does not run may keep what one recipe left there when the next one comes.
    for name in sorted(set(params.competitions) & set(params.sections)):
        weights = params.section(name).model.weights
        if weights == "given" and name not in receivers:
            faults.append(
                f"{name}.model.weights: found 'given', but nothing is given; add it to transfers: "
                f"[{{to: {name}, from: models/.../fold0}}], or a file"
            )
        if weights != "given" and name in receivers:
            faults.append(
                f"{name}.model.weights: found {weights or 'null'}, so what transfers gives would "
                "not be used; set it to given, or take the entry out of transfers"
            )
    return faults


def _sections(params: Params) -> list[str]:
    """Return keys of one section that need another."""
    faults = []
    for name in sorted(params.sections):
        train = params.section(name).train
        if train.unfreeze_epoch is not None and train.freeze == "none":
            faults.append(f"{name}.train.unfreeze_epoch: nothing is frozen; set freeze: backbone")
        if train.unfreeze_epoch is not None and train.unfreeze_epoch > train.epochs:
            faults.append(
                f"{name}.train.unfreeze_epoch: found {train.unfreeze_epoch}, but the training ends "
                f"after epoch {train.epochs}"
            )
        if train.batch_size % train.devices:
            faults.append(
                f"{name}.train.batch_size: found {train.batch_size}, which {train.devices} devices "
                "can't share equally"
            )
        faults += _sources(name, params.section(name).data)
        faults += _sizes(name, params.section(name)) + _aimless(name, params.section(name))
    return faults


def _sources(name: str, data: Data) -> list[str]:
    """Return what is to be fetched, but is not said, or said so that it would collide."""
    faults = []
    if data.source == KAGGLE and data.kaggle is None:
        wanted = (
            "say what in {0}.data.kaggle: a competition's name as in its address, or owner/name"
        )
        hint = "set it to urls" if data.urls else wanted.format(name)
        faults.append(f"{name}.data.source: kaggle does not say what to fetch; {hint}")
    if data.source == URLS and not data.urls:
        faults.append(
            f"{name}.data.source: found urls, but there are none; add {name}.data.urls: "
            "[{url: https://..., name: train.zip, sha256: ...}], or set the source to kaggle"
        )
    saved = [each.name for each in data.urls]
    if twice := sorted({each for each in saved if saved.count(each) > 1}):
        faults.append(f"{name}.data.urls: two files of the name {twice[0]}; name one otherwise")
    return faults


def _sizes(name: str, section: Competition) -> list[str]:
    """Return windows that are larger than the pictures, before these are made."""
    crop, stored = section.train.crop, section.preprocess
    if crop is None or (crop[0] <= stored.height and crop[1] <= stored.width):
        return []
    return [
        f"{name}.train.crop: found {crop}, but {name}.preprocess stores pictures of "
        f"[{stored.height}, {stored.width}]"
    ]


def _aimless(name: str, section: Competition) -> list[str]:
    """Return keys of `evaluate` that the task has no use for, before anything is trained."""
    task, asked = section.data.task, section.evaluate
    faults = []
    if asked.threshold != "auto" and task in ("multiclass", "regression"):
        faults.append(
            f"{name}.evaluate.threshold: found {asked.threshold}, but the task {task} has none; "
            "set it to auto"
        )
    if task != "segmentation":
        for key, usual in (("scales", [1.0]), ("tiles", None)):
            if getattr(asked, key) != usual:
                faults.append(
                    f"{name}.evaluate.{key}: is for masks, and the task is {task}; take it out"
                )
    return faults

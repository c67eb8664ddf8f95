"""The rules of params.yaml as a whole: names, competitions and folds."""

from darkroom.params.competition import Competition, Params, name_fault, no_section, quote
from darkroom.params.rules.lists import blend_faults, pseudo_label_faults, transfer_faults
from darkroom.params.rules.sections import section_faults
from darkroom.project.paths import ALL


def broken_rules(params: Params) -> list[str]:
    """Return a line for each rule that the parameters break."""
    faults = [
        f"{quote(name)[1:-1]}: a competition's name {fault}"
        for name in params.sections
        if (fault := name_fault(name))
    ]
    for position, name in enumerate(params.competitions):
        if name not in params.sections:
            faults.append(f"competitions[{position}]: {no_section(name, params.sections)}")
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
    faults += transfer_faults(params) + blend_faults(params) + pseudo_label_faults(params)
    return faults + section_faults(params)


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

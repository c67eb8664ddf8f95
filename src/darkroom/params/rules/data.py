"""Rules about several keys of a `data` section, checked before any raw file is read."""

import re
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePosixPath

from darkroom.params.data import (
    ALTERNATIVES,
    SAMPLE,
    Data,
    Rows,
    is_pattern,
    part_rows,
    target_columns,
)
from darkroom.params.section import ID_KEY, LABEL_KEY, TaskName, is_own_metric, is_writable
from darkroom.project.paths import OWN_METRICS

_LABELS: tuple[TaskName, ...] = ("multiclass", "multilabel", "binary")
_CLASSES: tuple[TaskName, ...] = ("multiclass", "binary")
_VALUES: tuple[TaskName, ...] = ("regression",)
_MASKS: tuple[TaskName, ...] = ("segmentation",)
METRIC_TASKS: dict[str, tuple[TaskName, ...]] = {
    **dict.fromkeys(
        ("accuracy", "log_loss", "weighted_log_loss", "roc_auc", "mean_column_auc"), _LABELS
    ),
    **dict.fromkeys(("average_precision", "mean_average_precision"), _LABELS),
    **dict.fromkeys(("macro_f1", "micro_f1"), _LABELS),
    **dict.fromkeys(("f1", "f2", "f0.5"), ("binary",)),
    **dict.fromkeys(("samples_f1", "samples_f2"), ("multilabel",)),
    "balanced_accuracy": ("multiclass", "binary"),
    "quadratic_kappa": ("multiclass", "regression"),
    **dict.fromkeys(("map@3", "map@5"), ("multiclass", "multilabel")),
    **dict.fromkeys(("top5_accuracy", "gap"), ("multiclass",)),
    **dict.fromkeys(("rmse", "mae", "rmsle", "r2", "weighted_r2", "mcrmse"), _VALUES),
    **dict.fromkeys(("dice", "global_dice", "iou", "mean_iou", "mask_iou_precision"), _MASKS),
    **dict.fromkeys(("iou_precision", "f2_iou", "dice_hausdorff"), _MASKS),
}
"""By name of a metric, the tasks that it goes with; each with a number exists for any number."""

_ANSWERS = {"label", "class", "category", "target", "predicted", "prediction"}
_FIELDS = re.compile(r"\{([^{}\[]+)")  # the names in a template

# A metric of any k or beta, and one of the table that it is like.
_FAMILIES = (
    ("map@[1-9][0-9]{0,2}", "map@5"),
    ("top[1-9][0-9]{0,2}_accuracy", "top5_accuracy"),
    (r"f(0\.)?[1-9]", "f1"),
    (r"(macro|micro)_f(0\.)?[1-9]", "macro_f1"),
    (r"samples_f(0\.)?[1-9]", "samples_f1"),
)


def data_faults(name: str, data: Data) -> list[str]:
    """Return a line for each rule that a section breaks."""
    at = f"{name}.data"
    faults = []
    if data.source == SAMPLE and data.sample is None:
        faults.append(
            f"{at}.sample: this key is missing: what to draw: carvana, celeba or banknotes; for "
            "other data set the source to a folder, kaggle or urls"
        )
    if data.metric is not None and (fault := metric_fault(data.metric, data.task)):
        faults.append(f"{at}.metric: found {data.metric!r}; {fault}")
    if data.weights and "weighted" not in (data.metric or ""):
        named = f"the metric {data.metric}" if data.metric else "the task's usual metric"
        faults.append(
            f"{at}.weights: {named} has none; remove them, or name a weighted metric such as "
            "weighted_log_loss"
        )
    if not data.header and data.like is None:
        faults.append(
            f"{at}.like: this key is missing: the sample submission, such as "
            "sample_submission.csv; without one write header: [id, label]"
        )
    if data.header and data.like is not None:
        faults.append(f"{at}.header: data.like gives the header; remove one of the two")
    for part, rows in part_rows(data).items():
        faults += _part_faults(f"{at}.{part}", part, rows, data)
    return faults + _name_faults(at, data) + _row_faults(at, data) + _form_faults(at, data)


def _part_faults(at: str, part: str, rows: Rows, data: Data) -> list[str]:
    faults = []
    both = [f"{a} and {b}" for a, b in ALTERNATIVES[1:] if _is_set(rows, a) and _is_set(rows, b)]
    faults += [f"{at}: has {words}; remove one of the two" for words in both]
    if rows.table is None and rows.files is None:
        if part != "test":
            faults.append(
                f"{at}: lacks its rows; write table: train.csv, or without a table "
                "files: train/{label}/{id}.jpg"
            )
        elif data.like is None:
            faults.append(
                f"{at}: lacks its rows; write table, or files, or data.like, whose rows it then has"
            )
        elif data.test.id is not None:
            faults.append(
                f"{at}.id: the rows are those of data.like, whose ids data.row says; remove it, or "
                "write table"
            )
    if rows.image is None and rows.pixels is None and rows.files is None:
        faults.append(
            f"{at}.image: this key is missing: where a row's image lies, such as train/{{id}}.jpg"
        )
    if rows.files is not None and not set(rows.files) & set("{*"):
        faults.append(
            f"{at}.files: found {rows.files!r}, which is one file; write what differs between "
            "files in braces: train/{label}/{n}.jpg"
        )
    if isinstance(rows.image, list) and (template := _repeated(rows.image)):
        faults.append(f"{at}.image: {template!r} comes twice; a plane each")
    if rows.shape is not None and rows.pixels is None:
        faults.append(f"{at}.shape: is of pixels, which are not set; remove it")
    elif part != "train" and rows.shape != data.train.shape:
        faults.append(f"{at}.shape: all parts have the shape of train; set it there alone")
    own = {"train": data.train, "valid": data.valid, "test": data.test}[part]
    if own is not None and own.runs is not None:
        if rows.rle is None:
            faults.append(f"{at}.runs: is of run lengths in a table; set rle, or remove it")
        elif own.runs.size is not None:
            faults.append(
                f"{at}.runs.size: run lengths are read at the image's own size; that of the "
                "submission's masks is data.runs.size"
            )
    return faults + _target_faults(at, part, rows, data)


def _target_faults(at: str, part: str, rows: Rows, data: Data) -> list[str]:
    """Check that a part has what its task learns from, and nothing else."""
    has_targets = rows.targets not in ([], "")
    masks = [key for key in ("mask", "rle") if _is_set(rows, key)]
    if data.task == "segmentation":
        if has_targets:
            return [f"{at}.targets: the task is segmentation; write mask or rle instead"]
        if part != "test" and not masks:
            return [
                f"{at}: lacks its masks; write mask: masks/{{id}}.png, or rle: the column of run "
                "lengths"
            ]
        if isinstance(rows.mask, dict) and rows.label is not None:
            return [f"{at}.label: the classes of the masks are named in mask; remove one of them"]
        return []
    if masks:
        return [f"{at}.{masks[0]}: is for segmentation, and the task is {data.task}; remove it"]
    if part != "test" and not has_targets and not (rows.label and data.task == "multilabel"):
        return [f"{at}.targets: this key is missing: the column to predict, or several"]
    if part != "test" and rows.table is None and rows.files is not None:
        fields = _FIELDS.findall(" ".join([rows.files, *rows.cells.values()]))
        for key, names in (("label", [rows.label]), ("targets", target_columns(rows))):
            texts = [name for name in names if isinstance(name, str) and not is_pattern(name)]
            columns = [each for name in texts for each in _FIELDS.findall(name) or [name]]
            if absent := [name for name in columns if name not in fields]:
                return [f"{at}.{key}: files has no field {{{absent[0]}}}; it is {rows.files!r}"]
    if rows.label is not None and (isinstance(rows.targets, dict) or len(target_columns(rows)) > 1):
        return [f"{at}.targets: found {rows.targets}; beside label it is one column, of the values"]
    if rows.label is not None and data.task not in ("multilabel", "regression"):
        return [
            f"{at}.label: gathers several labels of an image, and the task is {data.task}; for one "
            "class an image write targets"
        ]
    return []


def _keys(data: Data) -> list[str]:
    return [data.row] if isinstance(data.row, str) else data.row


def _name_faults(at: str, data: Data) -> list[str]:
    """Check the names that a submission may repeat: of its columns, of classes."""
    faults = []
    if (twice := _repeated(data.header)) is not None:
        faults.append(f"{at}.header: the column {twice!r} comes twice; a name each")
    masks = {
        f"{part}.mask": rows.mask
        for part, rows in part_rows(data).items()
        if isinstance(rows.mask, dict) and (part == "train" or rows.mask != data.train.mask)
    }
    for key, templates in masks.items():
        if template := _repeated([*templates.values()]):
            faults.append(f"{at}.{key}: {template!r} is the mask of two classes; a template each")
    names = {key: [*templates] for key, templates in masks.items()}
    targets = {part: rows.targets for part, rows in part_rows(data).items()}
    names |= {
        f"{part}.targets": [*each] for part, each in targets.items() if isinstance(each, dict)
    }
    names |= {"values": [each for each in data.values.values() if isinstance(each, str)]}
    called = data.names.values() if isinstance(data.names, dict) else ()
    names |= {"names": [each for each in called if isinstance(each, str)]}
    names |= {"header": data.header[len(_keys(data)) :]}
    for key, several in names.items():
        odd = [name for name in several if not name.strip() or not is_writable(name)]
        faults += [f"{at}.{key}: {name!r} is no name; write one line of text" for name in odd[:1]]
    if (twice := _repeated(map(str, data.values))) is not None:
        faults.append(f"{at}.values: {twice!r} comes twice, as a number and as a text; remove one")
    return faults


def _repeated(names: Iterable[str]) -> str | None:
    """Return the first name that comes again."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _row_faults(at: str, data: Data) -> list[str]:
    """Check the keys of a submission's rows: {id} and {label}, and text around them."""
    keys = _keys(data)
    if not any(ID_KEY in key for key in keys):
        return [f'{at}.row: found {data.row!r}, which lacks the image; write "{{id}}" in it']
    for key in keys:
        text = key.replace(ID_KEY, "").replace(LABEL_KEY, "")
        if set(text) & set("{}*"):
            return [f"{at}.row: found {key!r}; its fields are {ID_KEY} and {LABEL_KEY} alone"]
    if twice := _repeated(keys):
        return [f"{at}.row: {twice!r} comes twice; of several columns each has a key of its own"]
    return []


def _form_faults(at: str, data: Data) -> list[str]:
    """Check the keys that say how masks, labels and rows of the submission are written."""
    faults = []
    keys = _keys(data)
    is_long = any(LABEL_KEY in key for key in keys)
    if data.header and len(data.header) <= len(keys):
        faults.append(
            f"{at}.header: found {data.header}; after the {len(keys)} columns of row it needs "
            "those of the answers"
        )
    elif (late := _late_id(data, len(keys))) is not None:
        faults.append(
            f"{at}.header: found {data.header}; the columns of row come first, and {late} is among "
            "the answers: judges find columns by their names, in any order"
        )
    train, task = data.train, data.task
    several = (
        train.label is not None
        or isinstance(train.mask, dict)
        or bool(data.values)
        or (task in ("multilabel", "regression"))
    )
    if is_long and not several:
        faults.append(
            f"{at}.row: found {data.row!r}, but an image has no several labels; set "
            f"{at}.train.label to the column that names them, or write {{id}} alone"
        )
    faults += _value_faults(at, data) + _shown_faults(at, data)
    if data.separator is not None and not is_writable(data.separator.replace("\t", "")):
        faults.append(f"{at}.separator: found {data.separator!r}, which breaks a line")
    if data.separator is not None and task in ("segmentation", "regression", "binary"):
        faults.append(f"{at}.separator: is for several labels, and the task is {task}; remove it")
    elif data.separator is not None and task == "multiclass" and not _is_ranking(data.metric):
        faults.append(
            f"{at}.separator: a cell holds one class; remove it, or name the metric that counts "
            "several, such as map@5"
        )
    if task != "segmentation" and "runs" in data.model_fields_set:
        faults.append(f"{at}.runs: is for segmentation, and the task is {task}; remove it")
    return faults


def _late_id(data: Data, keys: int) -> str | None:
    """Return the id that stands behind what is learned in the header, if so.

    Behind a column of images it is an answer: of Humpback Whale Identification, Image and Id.
    """
    columns = [*target_columns(data.train), data.train.label]
    learned = _ANSWERS | {name.casefold() for name in columns if isinstance(name, str)}
    if not {name.casefold() for name in data.header[:keys]} & learned:
        return None
    return next((name for name in data.header[keys:] if name.casefold() == "id"), None)


def _is_ranking(metric: str | None) -> bool:
    """Return whether a metric may want several classes in a cell, best first, or their scores."""
    named = metric or ""
    return is_own_metric(named) or named == "gap" or named.startswith(("map@", "top"))


def _shown_faults(at: str, data: Data) -> list[str]:
    """Check what classes are said to be called."""
    if data.names is None:
        return []
    if data.task != "multiclass":
        fix = "rename its columns or files, or write the names in values or mask"
        return [f"{at}.names: are of classes, and the task is {data.task}; {fix}"]
    columns = target_columns(data.train)
    is_one = len(columns) == 1 and not is_pattern(columns[0])
    if not isinstance(data.names, dict) and not (is_one and data.train.label is None):
        fix = "without one column of classes, write a mapping from classes"
        return [f"{at}.names: found {data.names!r}; {fix}"]
    return []


def _value_faults(at: str, data: Data) -> list[str]:
    """Check what mask pictures' values, or label cells, are said to mean."""
    if not data.values:
        return []
    meanings = {meaning for meaning in data.values.values() if meaning is not None}
    if data.task != "segmentation":
        if data.task == "regression":
            return [f"{at}.values: are of labels and masks, and the task is regression; remove it"]
        columns = target_columns(data.train)
        in_cells = len(columns) == 1 and not is_pattern(columns[0])
        in_cells = in_cells and data.separator is not None and data.train.label is None
        if in_cells and data.task == "multilabel":
            return [f"{at}.values: are of cells of one label, and separator of several; remove one"]
        if data.task != "multiclass" and not meanings <= {0, 1}:
            odd = next(each for each in data.values.values() if each not in (0, 1, None))
            return [f"{at}.values: found {odd!r}; a label's cell means 0, 1 or null (unknown)"]
        if data.task == "multiclass" and not meanings:
            return [f"{at}.values: names no class; write the classes of some texts"]
        if data.task != "multiclass" and len(meanings) < 2:
            return [f"{at}.values: say which text means 0 and which means 1"]
        return []
    for part, rows in part_rows(data).items():
        has_masks = part != "test" or rows.mask is not None or rows.rle is not None
        if has_masks and (not isinstance(rows.mask, str) or rows.label is not None):
            where = "" if part == "train" else f" (data.{part})"
            return [
                f"{at}.values: are of mask pictures that hold all classes; write mask: "
                f"masks/{{id}}.png without label{where}, or remove them"
            ]
    odd_keys = [key for key in data.values if not isinstance(key, int) or not 0 <= key < 65536]
    if odd_keys:
        return [f"{at}.values: found {odd_keys[0]!r}; a picture's values are 0 to 65535"]
    if not meanings or not all(isinstance(each, str) for each in meanings):
        return [f"{at}.values: names no class; write texts, such as {{0: sky, 1: road}}"]
    return []


def _is_set(rows: Rows, key: str) -> bool:
    return getattr(rows, key) is not None


def metric_fault(metric: str, task: TaskName) -> str:
    """Return why a metric does not go with a task, with the nearest that does; "" if it does.

    Example:
        >>> metric_fault("macrof1", "multiclass")
        "there is no such metric; did you mean 'macro_f1'?"
    """
    fitting = [name for name, others in METRIC_TASKS.items() if task in others]
    if is_own_metric(metric):
        file, _, function = metric.partition(":")
        parts = PurePosixPath(file).parts
        if parts[0] != str(OWN_METRICS) or ".." in parts or not function.isidentifier():
            return f"a function of yours lies in the folder {OWN_METRICS}: metrics/mine.py:score"
        if task != "segmentation":
            return ""
        return f"a function of yours can't score masks; for them are {', '.join(fitting)}"
    like = next((name for form, name in _FAMILIES if re.fullmatch(form, metric)), metric)
    tasks = METRIC_TASKS.get(like, ())
    if task in tasks:
        return ""
    near = get_close_matches(metric.lower(), fitting, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; for it are {', '.join(fitting)}"
    if not tasks:
        return f"there is no such metric{hint}"
    return f"the task is {task}, and it is for {' and '.join(tasks)}{hint}"

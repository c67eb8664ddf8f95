"""The results of a run: of the files here, or of a revision or experiment, from DVC's cache."""

import io
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from darkroom.errors import ArtifactError, ParamsError
from darkroom.params.document import parse_mapping
from darkroom.params.file import validate_params
from darkroom.project.paths import PARAMS, Layout
from darkroom.remote.retry import public_address

Reader = Callable[[Path], bytes | None]
"""The path of a file, relative to the project, to its bytes; None where there is none."""

TEXTS = {
    "scores": ("id", "actual", "predicted", "wrong"),
    "confusion": ("actual", "predicted"),
    "classes": ("class",),
    "attributes": ("attribute",),
    "targets": ("target",),
    "scatter": ("target",),
}
"""The columns of each table that hold text; the others hold numbers."""
COLUMNS = TEXTS | {"scores": ("id", "score"), "threshold": ("threshold",)}
"""The columns that each table has; a history has `epoch`."""
MOST_COMMITS = 20  # that are looked through for another run
CURVES = ("threshold", "classes", "attributes", "confusion", "targets", "scatter")


@dataclass(frozen=True)
class Run:
    """What a run has left in `reports/NAME`, and the parameters that it was made with.

    Attributes:
        label: As people call it: "these files", a revision, an experiment.
        name: The competition's, or the blend's.
        params: By dotted key; see `flat_params`.
        metrics: Of the validation images, by name.
        test: Of the test images, where their answers are known.
        history: A row an epoch, by fold.
        curves: The tables of `reports/NAME/curves`, by name.
        scores: A row an image, as text and numbers; None: there is no such file.
    """

    label: str
    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    test: Mapping[str, Any]
    history: Mapping[str, pd.DataFrame]
    curves: Mapping[str, pd.DataFrame]
    scores: pd.DataFrame | None = None

    @property
    def metric(self) -> str:
        """The name of the first metric, which the judge counts."""
        return next(iter(self.metrics), "")

    def is_same(self, other: "Run") -> bool:
        """Return whether another run has the same parameters, scores and curves."""
        mine, theirs = (
            (each.params, each.metrics, each.test, [t.to_csv() for t in each.history.values()])
            for each in (self, other)
        )
        return mine == theirs

    @property
    def score(self) -> float | None:
        """Its value; None where it is not defined."""
        return self.metrics.get(self.metric)


def commits_of_runs() -> list[str]:
    """Return the last commits that changed dvc.lock or params.yaml, the newest first.

    None outside of a repository, or where dvc.lock is in no commit.
    """
    command = ["git", "log", f"--max-count={MOST_COMMITS}", "--format=%H", "--", "dvc.lock"]
    try:
        done = subprocess.run(
            [*command, PARAMS], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        locked = subprocess.run(
            ["git", "cat-file", "-e", "HEAD:./dvc.lock"], capture_output=True, check=False
        )
    except FileNotFoundError:  # no git
        return []
    return [] if done.returncode or locked.returncode else done.stdout.decode().split()


def read_here(path: Path) -> bytes | None:
    """Return the bytes of a file of the project; see `Reader`."""
    return path.read_bytes() if path.is_file() else None


def read_of_revision(revision: str) -> Reader:
    """Return what reads the files of a commit, a branch, a tag or an experiment.

    What DVC keeps comes from its cache, or from a remote if the project has one.

    Raises:
        ParamsError: There is no such revision.
        ArtifactError: The folder is no project of DVC and git.
    """
    from dvc.api import DVCFileSystem  # noqa: PLC0415  (half a second, and only for older runs)
    from dvc.exceptions import DvcException  # noqa: PLC0415
    from dvc.scm import RevError  # noqa: PLC0415

    try:
        system = DVCFileSystem(url=".", rev=revision)
        system.read_bytes(PARAMS)  # it looks for the revision only now
    except FileNotFoundError:
        pass
    except (RevError, AttributeError, ValueError) as error:  # of what is no commit, or no name
        raise ParamsError(
            "there is no such run",
            found=revision,
            expected=f"a competition of {PARAMS}, a revision of git or an experiment of DVC",
            fix="`git log --oneline` and `dvc exp show` list them",
        ) from error
    except DvcException as error:
        raise ArtifactError(
            "older runs are read by git and DVC, and this folder is no project of both",
            found=error,
            fix="mend that; or run `git init; dvc init` where it is none; or compare two "
            "competitions of params.yaml",
        ) from error

    def read_file(path: Path) -> bytes | None:
        try:
            data: bytes = system.read_bytes(path.as_posix())
        except (FileNotFoundError, DvcException):
            return None
        return data

    return read_file


def read_run(label: str, name: str, reader: Reader) -> Run | None:
    """Return the results of a run; None where there are none: no scores, or no such section.

    Raises:
        ArtifactError: A file is damaged, or of another form.
    """
    data = reader(Path(PARAMS))
    try:
        params = parse_mapping(data.decode(), file=f"{PARAMS} of {label}") if data else {}
        blend = _blend(params, name)
        paths = Layout(name, first=blend["members"][0] if blend else "")
        folds = [str(fold) for fold in params.get("folds", [])]
        flat = flat_params(params, name)
    except (ParamsError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(
            "this run cannot be read",
            file=f"{PARAMS} of {label}",
            found=error,
            expected="parameters of Darkroom",
            fix="name another run: `git log --oneline` lists them",
        ) from error
    scores = _read_metrics(paths.metrics, reader, part="validation")
    if not scores or not (blend or name in params):
        return None
    scores |= _read_metrics(paths.evaluation, reader, part="validation")
    histories = {fold: paths.reports / "history" / f"fold{fold}.csv" for fold in folds}
    curves = _read_tables({key: paths.curves / f"{key}.csv" for key in CURVES}, reader)
    by_image = _read_tables({"scores": paths.scores}, reader).get("scores")
    for path, table in (
        (paths.scores, by_image),
        (paths.curves / "confusion.csv", curves.get("confusion")),
    ):
        if table is not None and len(table) != scores.get("images", len(table)):
            raise _damaged(path, f"{len(table)} rows", f"{scores['images']}, a row an image")
    test = [paths.test_metrics, paths.test_evaluation]
    return Run(
        label=label,
        name=name,
        params=flat,
        metrics=scores,
        test={key: value for path in test for key, value in _read_metrics(path, reader).items()},
        history=_read_tables(histories, reader),
        curves=curves,
        scores=by_image,
    )


def flat_params(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the parameters that a run depends on, by dotted key, with the defaults of today.

    Those of the section, the seed and the folds; of a blend its entry and its members' sections.

    Args:
        params: The mapping of a params.yaml.
        name: Of a section or of a blend.

    Example:
        >>> flat_params({"seed": 1, "a": {"train": {"lr": 0.1}}}, "a")
        {'seed': 1, 'train.lr': 0.1}
        >>> flat_params({"a": {"data": {"urls": ["https://h.org/a.zip?signature=b"]}}}, "a")
        {'data.urls': ['https://h.org/a.zip']}
    """
    try:
        whole = validate_params(dict(params)).model_dump(mode="json", by_alias=True)
    except ParamsError:  # of another version of Darkroom: as it stands
        whole = {}
    values = {key: params[key] for key in ("seed", "folds") if key in params}
    for key in ("transfers", "pseudo_labels"):
        if entries := [each for each in params.get(key) or [] if each.get("to") == name]:
            values[key] = entries[0]
    if blend := _blend(params, name):
        values |= {"blend": blend}
        return _flat(values | {each: _section(whole, params, each) for each in blend["members"]})
    return _flat(values | _section(whole, params, name))


def _section(whole: Mapping[str, Any], params: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(whole.get(name) or params.get(name) or {})


def _blend(params: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    blends = params.get("blends") or []
    return next((each for each in blends if each.get("name") == name), None)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _public(value)
    return flat


def _public(value: Any) -> Any:
    """Return a value whose addresses hold no password and no signature: a page is for others."""
    if isinstance(value, str) and "://" in value:
        return public_address(value)
    return [_public(each) for each in value] if isinstance(value, list) else value


def _read_metrics(path: Path, reader: Reader, *, part: str = "") -> dict[str, Any]:
    """Return scores by name, those below a key if `part` names one; nothing if there is no file."""
    data = reader(path)
    if data is None:
        return {}
    try:
        values = json.loads(data)
        values = values.get(part, {}) if part else values
        if any(not isinstance(each, float | int | None) for each in values.values()):
            raise ValueError("a score that is no number")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _damaged(path, error, "scores by name") from error
    return dict(values)


def _read_tables(paths: Mapping[str, Path], reader: Reader) -> dict[str, pd.DataFrame]:
    """Return those of some tables that are there, their texts as they were before `as_csv`."""
    tables = {}
    for key, path in paths.items():
        data = reader(path)
        if data is None:
            continue
        try:
            tables[key] = _table(key, data)
        except ValueError as error:  # and what pandas derives from it
            raise _damaged(path, error, "a table as `darkroom evaluate` writes it") from error
    # evaluate writes all tables, without rows those that the task has not
    return {key: table for key, table in tables.items() if len(table)}


def _table(key: str, data: bytes) -> pd.DataFrame:
    if not data.endswith(b"\n"):
        raise ValueError("the last line has no end")
    table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    for column in COLUMNS.get(key, ("epoch",)):
        if column not in table:
            raise ValueError(f"no column {column}")
    for column in table.columns:
        if column in TEXTS.get(key, ()) and not (key == "classes" and column == "predicted"):
            table[column] = table[column].map(_without_apostrophe)
        else:
            table[column] = table[column].replace("", np.nan).astype(np.float64)
    return table


def _without_apostrophe(text: str) -> str:
    """Return a text without what `darkroom.prediction.tables.as_csv` puts before a formula."""
    return text[1:] if re.match(r"'+[=+\-@\t\r]", text) else text


def _damaged(path: Path, found: object, expected: str) -> ArtifactError:
    return ArtifactError(
        "it is damaged", file=path, found=found, expected=expected, fix="run `dvc repro`"
    )

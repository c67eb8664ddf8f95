"""A metric of the user's own: a function in a Python file of the project.

    # metrics/mine.py
    BEST = "max"                # or "min"; "max" if left out
    WRITES = "probabilities"    # or labels, ranking, values; if left out values for regression,
                                # else labels

    def score(truth, predictions):
        return ...              # a finite number, or None where it is not defined

`truth` and `predictions` are numpy arrays that cannot be written to. Truth is (n,) numbers of
classes, or (n, K) labels or values with NaN where unknown. Predictions are what the network gives,
(n, K), or with "labels" the answers: (n,) classes, or (n, K) of 0 and 1.
"""

import ast
import hashlib
import inspect
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import ParamsError
from darkroom.params.section import LOWER_IS_BETTER, is_own_metric
from darkroom.project.paths import OWN_METRICS

Array = NDArray[Any]

BESTS = ("max", "min")
WRITES = {
    "multilabel": ("labels", "probabilities", "ranking"),
    "multiclass": ("labels", "probabilities", "ranking"),
    "binary": ("labels", "probabilities"),
    "regression": ("values",),
}
_FORM = re.compile(r"(?P<file>[^:]+\.py):(?P<function>[A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class OwnMetric:
    """A function of the user's own, and what its file says of it.

    Attributes:
        name: `file.py:function`.
        best: "max" or "min".
        writes: What a submission holds for it.
        score: (truth, predictions) to a finite number, or None.
    """

    name: str
    best: str
    writes: str
    score: Callable[[Array, Array], float | None]


def load_own(name: str, task: str) -> OwnMetric:
    """Return a metric from a file, relative to the project.

    Args:
        name: `file.py:function`.
        task: A name of `darkroom.tasks.table.TASKS`, without masks.

    Raises:
        ParamsError: There is no such file or function, it can't be run, or its BEST or WRITES is
            invalid; or the task has masks.
    """
    match = _FORM.fullmatch(name)
    parts = Path(match["file"]).parts if match else ()
    if match is None or parts[0] != str(OWN_METRICS) or ".." in parts:
        raise ParamsError(
            "data.metric names no function of a file in the folder metrics",
            found=name,
            expected="a path and a name, such as metrics/mine.py:score",
        )
    if task not in WRITES:
        raise ParamsError(
            f"data.metric: a function of your own can't be a metric of {task}",
            found=name,
            expected="the name of a metric of masks, such as dice",
        )
    path = Path(match["file"])
    source = _source(path)
    module = _run(str(path), source)
    function = getattr(module, match["function"], None)
    if not callable(function):
        raise ParamsError(
            "data.metric: the file has no such function",
            file=path,
            found=match["function"],
            expected=f"def {match['function']}(truth, predictions):",
        )
    _require_arguments(path, function)
    usual = WRITES[task][0]
    best, writes = getattr(module, "BEST", "max"), getattr(module, "WRITES", usual)
    for key, value, legal in (("BEST", best, BESTS), ("WRITES", writes, WRITES[task])):
        if value not in legal:
            raise ParamsError(
                f"data.metric: {key} is invalid for the task {task}",
                file=path,
                found=value,
                expected=" | ".join(legal),
            )
    if best != (_constant(source, "BEST") or BESTS[0]):
        raise ParamsError(
            "data.metric: BEST is no plain text, and it is read without running the file",
            file=path,
            found=best,
            fix=f'write BEST = "{best}" on a line of its own',
        )
    return OwnMetric(name, best, writes, lambda *arrays: _call(str(path), function, arrays))


def own_digests(name: str) -> dict[str, str]:
    """Return {"metric": the sha256 of a metric's file}, {} if it is none of the user's own.

    Raises:
        ParamsError: The file can't be read.
    """
    if not is_own_metric(name):
        return {}
    return {"metric": hashlib.sha256(_source(Path(name.partition(":")[0]))).hexdigest()}


def is_lower_better(name: str) -> bool:
    """Return whether less of a metric is better, by its name or its file's BEST.

    The file is read, not run; one that is gone says nothing.

    Example:
        >>> is_lower_better("rmse"), is_lower_better("macro_f1")
        (True, False)
    """
    if not is_own_metric(name):
        return name in LOWER_IS_BETTER
    try:
        return _constant(Path(name.partition(":")[0]).read_bytes(), "BEST") == "min"
    except (OSError, SyntaxError, ValueError):
        return False


def _constant(source: bytes, name: str) -> object:
    """Return the constant that a module sets a name to, None if it does not or not to a constant.

    Raises:
        SyntaxError: Or ValueError; it is no module.
    """
    value: object = None
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=set_to):
                pass
            case ast.AnnAssign(target=ast.Name(id=target), value=set_to):
                pass
            case _:
                continue
        if target == name:
            value = set_to.value if isinstance(set_to, ast.Constant) else None
    return value


def _require_arguments(path: Path, function: Callable[..., Any]) -> None:
    """Raise ParamsError unless a function can be called with two arrays."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # of a function in C nothing is known
    try:
        signature.bind("truth", "predictions")
    except TypeError as error:
        raise ParamsError(
            f"data.metric: the function takes other arguments: {error}",
            file=path,
            found=str(signature),
            expected="(truth, predictions)",
        ) from error


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ParamsError(
            "data.metric: its file can't be read",
            file=path,
            found=error.strerror,
            fix="write it, or name another data.metric",
        ) from error


@lru_cache(maxsize=8)
def _run(file: str, source: bytes) -> ModuleType:
    """Return the module of a source; it is not imported, so that no file is written beside it."""
    module = ModuleType("darkroom_metric")
    module.__file__ = file
    try:
        exec(compile(source, file, "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # exit(0), say, would end the stage as if it were done
        raise _failed("the file can't be run", file, error) from error
    return module


def _call(file: str, function: Callable[..., Any], arrays: tuple[Array, ...]) -> float | None:
    """Return a finite score.

    Raises:
        ParamsError: The function failed, or returned something else.
    """
    try:
        # Of memory that numpy can't make writeable again.
        value = function(*[np.asarray(array.data.toreadonly()) for array in arrays])
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and classes of the user's own
        raise _failed("the function failed", file, error) from error
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    try:
        is_finite = is_number and math.isfinite(value)
        shown = f"{type(value).__name__} {value!r}"[:200]
    except (OverflowError, ValueError):  # an integer beyond floats, or too long to be shown
        is_finite, shown = False, "an integer beyond 1.8e308"
    if not is_finite:
        raise ParamsError(
            "data.metric: the function returns no score",
            file=file,
            found=shown,
            expected="a finite number, or None where it is not defined",
        )
    return float(value)


def _failed(what: str, file: str, error: BaseException) -> ParamsError:
    """Return an error that names the line of the user's file."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file
    ]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
    is_write = isinstance(error, ValueError) and "read-only" in str(error)
    return ParamsError(
        f"data.metric: {what}",
        file=file,
        row=line,
        found=f"{type(error).__name__}: {error}",
        fix="copy an array before changing it: truth.copy()" if is_write else None,
    )

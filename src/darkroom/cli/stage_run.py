"""One run of a stage: locks on its files, and at its end a comparison with what it began with.

DVC hashes parameters, code and inputs after a stage has run. What changed meanwhile would be
recorded with a result that comes from something else, and handed to everybody by the run cache.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from darkroom.cli.setup.recorded_code import require_recorded_code
from darkroom.errors import ArtifactError, DarkroomError
from darkroom.project import files
from darkroom.project.fingerprint import PACKAGE, import_closure
from darkroom.project.paths import PARAMS, Fold, Layout
from darkroom.stages._context import Context


@dataclass(frozen=True)
class Footprint:
    """What a stage reads and writes. dvc.yaml says the same, and a test compares the two.

    Attributes:
        params: `seed`, `folds`, `transfer`, `pseudo_labels`, `blend`, and sections of the
            competition.
        reads: Names of `artefacts`; `valid` and `test` are predictions of the folds in
            params.yaml.
        writes: Likewise. Train locks its model itself, when it writes it.
    """

    params: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()


Places = dict[str, list[tuple[Path, list[Path]]]]
"""By artefact: lock files, and what each of them locks."""

FOOTPRINTS = {
    "fetch": Footprint(("data",), (), ("raw",)),
    "index": Footprint(("data",), ("raw",), ("index", "names")),
    "split": Footprint(("seed", "split"), ("index",), ("split",)),
    "preprocess": Footprint(("preprocess",), ("raw", "index"), ("processed",)),
    "fold": Footprint((), ("index", "split"), ("fold",)),
    "audit": Footprint((), ("index", "names", "split", "processed"), ("audit",)),
    "transfer": Footprint(("transfer",), ("source",), ("weights",)),
    "pseudo": Footprint(
        ("pseudo_labels",), ("index", "split", "processed", "pseudo_source"), ("pseudo",)
    ),
    "train": Footprint(
        ("seed", "preprocess", "model", "train"),
        ("index", "split", "weights", "pseudo", "processed"),
    ),
    "predict": Footprint(("predict",), ("index", "split", "processed", "model"), ("predictions",)),
    "evaluate": Footprint(
        ("folds", "evaluate"),
        ("raw", "index", "names", "split", "processed", "valid"),
        ("evaluation",),
    ),
    "submission": Footprint(("folds",), ("index", "test", "decision"), ("submission",)),
    "blend": Footprint(
        ("seed", "folds", "blend", "evaluate"),
        ("raw", "index", "names", "split", "processed", "members"),
        ("blended", "evaluation", "submission"),
    ),
}

_SHARED = ("raw", "index", "names", "split", "processed")  # by a blend and its first member


def artefacts(context: Context, fold: Fold = 0, part: str = "valid") -> Places:
    """Return by artefact its lock files, and what each of them locks.

    Args:
        context: The competition.
        fold: The fold of a stage that runs once a fold.
        part: The part of a stage that runs once a part.
    """
    paths = context.paths
    single = {
        "raw": [paths.raw],
        "index": [paths.index, paths.card],
        "names": [paths.class_names],
        "split": [paths.split, paths.split_card],
        "processed": [paths.processed],
        "audit": [paths.audit, paths.contact_sheet],
        "evaluation": [
            paths.decision,
            paths.scores,
            paths.curves,
            paths.evaluation_sheet,
            paths.metrics,
            paths.evaluation,
        ],
        "submission": [
            paths.submission,
            paths.submission_facts,
            paths.test_metrics,
            paths.test_evaluation,
        ],
    }
    locks = {
        name: [((paths.inputs if name in _SHARED else paths).lock(name), entries)]
        for name, entries in single.items()
    }
    locks["blended"] = [(paths.lock("blended"), [paths.all_predictions, paths.blend])]
    locks["members"] = [
        _predictions(member.paths, name, each)
        for member in context.members
        for name in ("valid", "test")
        for each in context.folds
    ]
    locks["decision"] = [(paths.lock("evaluation"), [paths.decision])]
    locks["model"] = [(paths.lock(f"model{fold}"), [paths.model(fold)])]
    for name in ("valid", "test"):
        locks[name] = [_predictions(paths, name, each) for each in context.folds]
    locks["predictions"] = [_predictions(paths, part, fold)]
    locks["fold"] = [(paths.lock(f"start{fold}"), [paths.fold_counts(fold)])]
    locks["weights"] = [(paths.lock(f"weights{fold}"), [paths.first_weights(fold)])]
    locks["pseudo"] = [(paths.lock(f"pseudo{fold}"), [paths.pseudo_labels(fold)])]
    labels = context.pseudo_labels
    locks["pseudo_source"] = [_test_predictions(Path(labels.source), fold)] if labels else []
    source = context.transfer
    locks["source"] = [_source(Path(source.source), fold)] if source else []
    return locks


def _predictions(paths: Layout, part: str, fold: Fold) -> tuple[Path, list[Path]]:
    return paths.lock(f"{part}{fold}"), [paths.predictions(part, fold)]


def _test_predictions(folder: Path, fold: Fold) -> tuple[Path, list[Path]]:
    """Return the lock of what pseudo-labels come from."""
    return Layout(folder.name).lock(f"test{fold}"), [folder / "test" / f"fold{fold}.arrow"]


def _source(path: Path, fold: Fold) -> tuple[Path, list[Path]]:
    """Return the lock of a model of this project, or of a file from elsewhere."""
    match path.parts:
        case ("models", name):
            return Layout(name).lock(f"model{fold}"), [Layout(name).model(fold)]
        case ("models", name, model, *_) if model.startswith("fold"):
            return Layout(name).lock(f"model{model.removeprefix('fold')}"), [path]
    return Path(".darkroom", "source.lock"), [path]


@contextmanager
def stage_run(
    stage: str,
    read_context: Callable[[], Context],
    *,
    fold: Fold = 0,
    part: str = "valid",
    locked: bool = True,
    recorded: bool = True,
) -> Iterator[Context]:
    """Yield what a stage is to be run with; it must end within the block.

    What it reads is locked against writers, what it writes against readers too. Another run that
    holds a lock is waited for; then params.yaml is read again, and the stage goes on with what
    is there. Locks are taken in one order, so that no two runs wait for each other.

    Args:
        stage: Its name.
        read_context: Reads params.yaml.
        fold: The fold of a stage that runs once a fold.
        part: The part of a stage that runs once a part.
        locked: Whether to lock: of several processes of one training only one does.
        recorded: Whether there will be a result. A trial of a stage has none: what changes while
            it runs does not matter.

    Raises:
        ArtifactError: Parameters, code or inputs of the stage changed while it ran; or its code is
            not what the project records.
    """
    require_recorded_code(stage)
    code = _code()  # before a wait, in which it may be edited: some is imported already
    while True:
        context = read_context()
        with ExitStack() as locks:
            has_waited = locked and _lock(stage, artefacts(context, fold, part), locks)
            if has_waited and read_context() != context:
                continue  # other parameters may mean other files
            if not recorded:
                yield context
                return
            entries = _read_entries(stage, artefacts(context, fold, part))
            beginning = _snapshot(stage, context, code, entries)
            require_unchanged = partial(_compare, beginning, stage, read_context)
            if has_waited:
                require_unchanged()
            yield replace(context, require_unchanged=require_unchanged)
            require_unchanged()
            return


def _lock(stage: str, places: Places, locks: ExitStack) -> bool:
    """Take the locks of a stage; return whether another run had to be waited for."""
    footprint, waits = FOOTPRINTS[stage], list[Path]()
    wanted = [(place, True) for name in footprint.reads for place in places[name]]
    wanted += [(place, False) for name in footprint.writes for place in places[name]]
    for (lock, entries), shared in sorted(wanted):
        busy = partial(_print_waiting, entries[0], waits)
        locks.enter_context(files.lock(lock, shared=shared, busy=busy))
    for name in {"raw", "processed"} & {*footprint.reads, *footprint.writes}:
        files.clear_leftovers(places[name][0][1][0])
    return bool(waits)


def _print_waiting(path: Path, waits: list[Path]) -> None:
    if not waits:
        print(f"waiting for another run that uses {path}", file=sys.stderr, flush=True)
    waits.append(path)


@dataclass(frozen=True)
class _Snapshot:
    """What a stage began with.

    Attributes:
        params: The parameters that it reads, as a mapping of params.yaml.
        code: The digest of every source file.
        inputs: Size, time of change (ns) and inode of every file that it reads.
        entries: The files and folders that these are.
    """

    params: Mapping[str, Any]
    code: Mapping[Path, str]
    inputs: Mapping[Path, tuple[int, int, int]]
    entries: Sequence[Path]


def _read_entries(stage: str, places: Places) -> list[Path]:
    reads = FOOTPRINTS[stage].reads
    return [entry for name in reads for _, paths in places[name] for entry in paths]


def _snapshot(
    stage: str, context: Context, code: Mapping[Path, str], entries: Sequence[Path]
) -> _Snapshot:
    sections: dict[str, Any] = {}
    params: dict[str, Any] = {context.name: sections}
    for key in FOOTPRINTS[stage].params:
        if key in ("seed", "folds", "transfer", "pseudo_labels", "blend"):
            value = getattr(context, key)
            params[key] = value.model_dump(by_alias=True) if hasattr(value, "model_dump") else value
        else:
            sections[key] = getattr(context.section, key).model_dump(by_alias=True)
    return _Snapshot(params, code, dict(_stats(entries)), entries)


def _code() -> dict[Path, str]:
    return {
        Path(entry.path): files.file_sha256(Path(entry.path))
        for entry in files.walk_files(PACKAGE)
        if entry.name.endswith(".py")
    }


def _stats(paths: Sequence[Path]) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    """Yield the files of paths, and of folders among them, with what changes if they do."""
    for path in paths:
        each = map(Path, files.walk_files(path)) if path.is_dir() else [path]
        for file in each:
            with suppress(FileNotFoundError):
                status = file.stat()
                yield file, (status.st_size, status.st_mtime_ns, status.st_ino)


def _compare(beginning: _Snapshot, stage: str, read_context: Callable[[], Context]) -> None:
    """Raise ArtifactError if what a stage began with is not what is there now."""
    try:
        now = _snapshot(stage, read_context(), _code(), beginning.entries)
    except DarkroomError as error:
        differences = [str(error).splitlines()[0]]
    else:
        differences = _changed_params(beginning.params, now.params)
        code = _different(beginning.code, now.code)
        if code:  # reading the imports takes a second: only if there is something to compare
            code = sorted(set(code) & set(import_closure(f"darkroom.stages.{stage}")))
        differences += [os.path.relpath(path) for path in code]
        differences += map(str, _different(beginning.inputs, now.inputs))
    if differences:
        raise ArtifactError(
            f"what {stage} began with has changed while it ran, so its result is not recorded",
            details=differences,
            fix="run it again: put back what it was, and it goes on from where it is; "
            "otherwise it begins anew with what is there now",
        )


def _changed_params(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if old == new:
        return []
    from darkroom.cli.recipes.edit import changes  # noqa: PLC0415  (it imports ruamel)

    return [f"{PARAMS}: {line}" for line in changes(old, new)]


def _different(one: Mapping[Path, object], other: Mapping[Path, object]) -> list[Path]:
    """Return the keys whose values differ, or that only one of two mappings has, sorted."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))

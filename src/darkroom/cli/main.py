"""The command line: `darkroom VERB NAME`.

params.yaml is read and validated here, as a whole, and a wrong name refused, before the verb's
module is imported: torch and pandas take seconds.
"""

import errno
import io
import os
import re
import select
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.cli import begin, parser
from darkroom.cli.parser import PARTS, STAGES, fold_number
from darkroom.cli.stage_run import stage_run
from darkroom.cli.train import hand_over, is_child
from darkroom.errors import DarkroomError, InternalError, ParamsError, ResourceError
from darkroom.project import files
from darkroom.project.files import DISK_FULL
from darkroom.project.packages import missing_module_error
from darkroom.project.paths import PARAMS, Layout
from darkroom.project.processes import duration, is_under_torchrun
from darkroom.stages._context import Context

if TYPE_CHECKING:
    from darkroom.params.competition import Params

DEBUG = "DARKROOM_DEBUG"  # if it is set, every error shows its traceback
# Of the verbs that are not listed: cli.
ROOMS = dict.fromkeys(STAGES, "stages") | {
    "use": "cli.recipes",
    "report": "cli.report",
    "new": "cli.setup",
    "doctor": "cli.setup",
}
_SILENT_S = 1.5  # before a line says that the command is at work
_WORTH_SAYING_S = 1.0  # of a stage's duration
_CLEAR = "\x1b[K"  # the rest of the line: a bar may stand there
_SIGPIPE = 13  # `signal` has it everywhere but on Windows
_NO_FOLDER = "a file stands where a folder is needed: move it away"
FIXES = {
    **dict.fromkeys(DISK_FULL, "free some space and run again"),
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or use a file system that allows "
    "more",
    errno.ENAMETOOLONG: "choose a shorter name, or a folder with a shorter path",
    errno.EROFS: "mount the disk for writing, or work in a folder of another one",
    errno.EISDIR: "a folder stands where a file is needed: move it away",
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or that of the error's kind."""
    if sys.platform == "darwin":  # before torch: an operation that mps lacks runs on the processor
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    options = parser.parse(arguments)
    if options.pop("debug"):
        os.environ[DEBUG] = "1"  # for the processes that this one starts, too
    command = " ".join(("darkroom", options["verb"], *filter(None, [options.get("name")])))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an id may hold what a terminal can't show
            stream.reconfigure(errors="backslashreplace")
    try:
        with _sign_of_life(command):
            code = _run(options)
        sys.stdout.flush()  # into a pipe that `head` has closed, say
        return code
    except KeyboardInterrupt:
        if not is_child():  # its launcher prints it
            print(f"{command}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # the last catch: nobody should have to read a traceback
        if isinstance(error, BrokenPipeError) and _is_unread():
            return 128 + _SIGPIPE
        if os.environ.get(DEBUG):
            traceback.print_exc()
        return _fail(command, _with_exit_code(error))


@contextmanager
def _sign_of_life(command: str) -> Iterator[None]:
    """Print a line in a terminal if the block is still running after some time.

    Importing torch takes seconds in which nothing is printed. DVC prints a line of its own.
    """
    line = f"\r{_CLEAR}{command}: at work\n".encode()
    timer = threading.Timer(_SILENT_S, os.write, (2, line))  # no lock that a fork could inherit
    timer.daemon = True
    is_watched = sys.stderr is not None and sys.stderr.isatty()
    if is_watched and "DVC_STAGE" not in os.environ and not is_child():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_context(name: str) -> Context:
    """Return the choices for a competition, from params.yaml in the current folder.

    Raises:
        ParamsError: The file is invalid, or has no section of that name.
    """
    from darkroom.params import file  # noqa: PLC0415  (the help needs none)

    params = file.read_params(Path(PARAMS))
    if blend := params.blend(name):
        members = tuple(_section_context(params, member) for member in blend.members)
        own = replace(members[0], transfer=None, pseudo_labels=None, blend=blend, members=members)
        return replace(own, paths=Layout(name, first=members[0].name))
    if name not in params.sections:
        names = [*params.sections, *(each.name for each in params.blends)]
        near = get_close_matches(name, names, n=1)
        raise ParamsError(
            f"there is no competition {name!r}",
            file=PARAMS,
            expected=f"one of {', '.join(names)}",
            fix=f"did you mean {near[0]!r}?" if near else None,
        )
    return _section_context(params, name)


def _read_for(stage: str, name: str) -> Context:
    """Return the context of a stage, whose name must be that of a blend if the stage is `blend`.

    Raises:
        ParamsError: It is not, or params.yaml is invalid.
    """
    context = read_context(name)
    is_blend = context.blend is not None
    if is_blend != (stage == "blend"):
        raise ParamsError(
            f"{name} is {'a blend' if is_blend else 'no blend'}",
            file=PARAMS,
            found=f"`darkroom {stage} {name}`",
            fix=f"run `darkroom blend {name}`: all else is done by its members"
            if is_blend
            else f"add it to blends: [{{name: ..., members: [{name}, ...]}}], and name that entry",
        )
    return context


def _section_context(params: "Params", name: str) -> Context:
    return Context(
        seed=params.seed,
        folds=tuple(params.folds),
        section=params.section(name),
        paths=Layout(name),
        transfer=params.transfer(name),
        pseudo_labels=params.pseudo_labels_of(name),
    )


def _run_of(stage: str) -> dict[str, Any]:
    """Return the name of DVC's `blend@blend0` or `transfer@pair0-1`, and the fold of the latter.

    The command has no other part of such an entry, whose keys would not be quoted: it is numbered.
    """
    from darkroom.params import file  # noqa: PLC0415  (the help needs none)

    # From another folder than this one DVC writes the file before it: a/dvc.yaml:transfer@pair0-1.
    params = file.read_params(Path(PARAMS))
    receivers = {
        "transfer@pair": [each.to for each in params.transfers],
        "pseudo@pair": [each.to for each in params.pseudo_labels],
        "blend@blend": [each.name for each in params.blends],
    }
    match = re.fullmatch(r"(?:.*:)?(\w+@[a-z]+)(\d{1,4})(?:-(\d{1,4}|all))?", stage)
    kind, number, fold = match.groups() if match else ("", "0", None)
    names = receivers.get(kind, [])
    if int(number) >= len(names) or (fold is None) != (kind == "blend@blend"):
        raise ParamsError("there is no such stage", found=stage, expected="pseudo@pair0-0, say")
    return {"name": names[int(number)]} | ({} if fold is None else {"fold": fold_number(fold)})


def _run(options: dict[str, Any]) -> int:
    """Run the verb; a wrong name is refused before its module is imported."""
    verb = options.pop("verb")
    if verb == "schema":
        from darkroom.params import file  # noqa: PLC0415  (each verb loads what it needs)

        print(file.schema_text(), end="")
        return 0
    if "stage" in options:
        options |= _run_of(options.pop("stage"))
    if "name" in options:
        name = options.pop("name")
        if verb == "check" and options["file"] is None:
            _refuse_file(name)
        if trial := options.pop("trial", None):
            return _run_trial(trial, name, options)
        if verb == "predict" and "out" in options:  # of new pictures: no stage
            context = read_context(name)
            module = import_module("darkroom.cli.predict")
            begin()
            return module.run(context=context, **options) or 0
        if verb == "predict" and options["part"] is None:
            return max([_run_stage(verb, name, options | {"part": part}) for part in PARTS])
        if verb in STAGES:
            return _run_stage(verb, name, options)
        options["context"] = read_context(name)
    # A check of all parameters is of no competition, and writes what no other stage writes.
    module = import_module(f"darkroom.{ROOMS.get(verb, 'cli')}.{verb}")
    begin()
    return module.run(**options) or 0


def _run_stage(stage: str, name: str, options: dict[str, Any]) -> int:
    """Run a stage."""
    locked = _is_leader()
    runs = {key: options[key] for key in ("fold", "part") if key in options}
    start = time.perf_counter()
    read = partial(_read_for, stage, name)
    with stage_run(stage, read, **runs, locked=locked) as context:
        # train is a command too: it starts several processes, and passes TensorBoard.
        module = import_module(f"darkroom.{'cli' if stage == 'train' else 'stages'}.{stage}")
        if stage != "train":  # it imports torch first
            begin()
        code = module.run(context=context, **options)
    if locked and not code:
        if stage in ("evaluate", "blend"):
            _show_scores(context.paths)
        files.write(
            context.paths.stamp(stage, *runs.values()), "done\n"
        )  # DVC warns of empty files
        if (seconds := time.perf_counter() - start) >= _WORTH_SAYING_S:
            print(f"{name}: {stage} took {duration(seconds)}", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _show_scores(paths: Layout) -> None:
    """Show the scores in TensorBoard too, where it is installed."""
    from darkroom.project.score_files import read_scores, split_scores  # noqa: PLC0415

    try:
        from darkroom.training.tensorboard.full_size import write_scores  # noqa: PLC0415
    except ModuleNotFoundError:
        return
    scores, _ = split_scores(read_scores(paths.metrics, paths.evaluation, "validation"))
    write_scores(paths.runs(0, "").with_name("evaluate"), scores)


def _run_trial(trial: str, name: str, options: dict[str, Any]) -> int:
    """Run a trial of a training: it reads what train does, and leaves no result and no stamp."""
    read, fold = partial(_read_for, "train", name), options["fold"]
    with stage_run("train", read, fold=fold, locked=_is_leader(), recorded=False) as context:
        code = import_module(f"darkroom.cli.trials.{trial}").run(context=context, **options)
    return code if isinstance(code, int) else 0


def _is_leader() -> bool:
    """Return whether this process locks: of those of one training the launcher does, or rank 0."""
    return not is_child() and not (is_under_torchrun() and os.environ["RANK"] != "0")


def _refuse_file(name: str) -> None:
    """Refuse a file in place of a competition's name, which has no dot and no slash."""
    if Path(name).suffix or "/" in name:
        raise ParamsError(
            "the competition's name is missing before the file",
            found=f"`darkroom check {name}`",
            expected="`darkroom check NAME FILE`, the file a submission: .csv or .csv.gz",
            fix=f"run `darkroom check NAME {name}`, NAME being a competition of {PARAMS}",
        )


def _with_exit_code(error: Exception) -> DarkroomError:
    """Return an error as one of ours; what nobody foresaw is an InternalError."""
    if isinstance(error, DarkroomError):
        return error
    if isinstance(error, OSError):
        return _resource_error(error)
    if isinstance(error, ModuleNotFoundError) and (lack := missing_module_error(error.name or "")):
        return lack
    if isinstance(error, MemoryError):
        return ResourceError("memory ran out", fix="lower batch_size or the image size")
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return InternalError(
        "this is an error of Darkroom, or of a library that it uses",
        found=f"{type(error).__name__} in {where}: {error}",
        fix="run it with `darkroom --debug` before the command, and report what it prints",
    )


def _resource_error(error: OSError) -> ResourceError:
    message = error.strerror or str(error) or type(error).__name__
    fix = FIXES.get(error.errno or 0)
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
        fix = _permission_fix(Path(str(error.filename)))
    return ResourceError(message, file=error.filename, fix=fix)


def _permission_fix(path: Path) -> str | None:
    """Return how to get the permission that lacks, if it is one of a file's or folder's mode."""
    above = (each for each in (path, *path.parents) if os.access(each, os.F_OK))
    there = next(above, path)
    if there == path and not os.access(path, os.R_OK):
        return f"let yourself read it: chmod u+r {path}"
    folder = there if there.is_dir() else there.parent
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    return f"let yourself write to the folder {folder} (chmod u+wx), or write elsewhere"


def _is_unread() -> bool:
    """Return whether nobody reads the output any more; if so, let nothing more be written to it."""
    unread: list[int] = []
    if sys.platform != "win32":  # which polls sockets alone
        outputs = select.poll()
        for number in (1, 2):
            outputs.register(number, 0)  # errors are always reported: the reader has gone
        unread = [number for number, event in outputs.poll(0) if event & select.POLLERR]
    for number in unread:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return bool(unread)


def _fail(command: str, error: DarkroomError) -> int:
    if is_child():
        hand_over(f"{command}: {error}", error.exit_code)
    else:
        print(f"{command}: {error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `darkroom VERB NAME`.

params.yaml is read and validated here, as a whole, and a wrong name refused, before the verb's
module is imported: torch and pandas take seconds.
"""

import argparse
import errno
import io
import os
import re
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.cli import begin
from darkroom.cli.stage_run import stage_run
from darkroom.cli.train import hand_over, is_child
from darkroom.errors import DarkroomError, InternalError, ParamsError, ResourceError
from darkroom.project import files
from darkroom.project.files import DISK_FULL
from darkroom.project.paths import ALL, PARAMS, Fold, Layout
from darkroom.project.processes import is_under_torchrun
from darkroom.stages._context import Context

if TYPE_CHECKING:
    from darkroom.params.competition import Params

DEBUG = "DARKROOM_DEBUG"  # if it is set, every error shows its traceback
CHECK_PARAMS = "params"
BY_FOLD = ("fold", "transfer", "pseudo", "train", "predict")
BY_ENTRY = ("transfer", "pseudo", "blend")  # of a list in params.yaml
PARTS = ("valid", "test")
TRIALS = {
    "check": "go through all of it with one batch, in seconds; nothing of it is kept",
    "overfit": "learn a few images by heart, or say what is wrong; nothing of it is kept",
}
STAGES = {
    CHECK_PARAMS: "check params.yaml, and put aside what its earlier states left",
    "fetch": "draw the sample, or fetch or copy the raw files, and list them",
    "index": "read the raw tables into one canonical table",
    "split": "cut the training images into folds",
    "fold": "count the images that a fold trains on and validates on",
    "preprocess": "decode and resize every image into shards",
    "audit": "report what is odd about the data, in numbers and a picture",
    "transfer": "copy first weights from another run or a file",
    "pseudo": "take confident predictions of test images as labels for a fold's training",
    "train": "train one fold",
    "predict": "keep what a fold's network says of each image of a part",
    "evaluate": "score the validation images and choose the threshold",
    "submission": "write the kept predictions of the test images as a submission",
    "blend": "blend several sections' predictions, score them and write a submission",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or that of the error's kind."""
    options = _options(arguments)
    if options.pop("debug"):
        os.environ[DEBUG] = "1"  # for the processes that this one starts, too
    command = " ".join(("darkroom", options["verb"], *filter(None, [options.get("name")])))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an id may hold what a terminal can't show
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(options)
        sys.stdout.flush()  # into a pipe that `head` has closed, say
        return code
    except KeyboardInterrupt:
        if not is_child():  # its launcher prints it
            print(f"{command}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # the last catch: nobody should have to read a traceback
        if isinstance(error, BrokenPipeError) and _is_unread():
            return 128 + signal.SIGPIPE
        if os.environ.get(DEBUG):
            traceback.print_exc()
        return _fail(command, _with_exit_code(error))


def _options(arguments: Sequence[str] | None) -> dict[str, Any]:
    """Return the parsed arguments; a stage's name may stand alone or, as DVC writes it, in --name.

    DVC quotes what it puts behind an option, and nothing else.
    """
    top = parser()
    options = vars(top.parse_args(arguments))
    is_named = {"name", "stage"} & options.keys()
    if options["verb"] in STAGES and options["verb"] != CHECK_PARAMS and not is_named:
        top.error(f"{options['verb']}: the following arguments are required: NAME")
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="darkroom",
        description="From a folder of competition images to a checked Kaggle submission.",
        epilog="`dvc repro` runs the stages in order, and only those that an edit touches. "
        "Exit codes: 2 parameters or usage, 3 data, 4 Kaggle or another server, "
        "5 resources, 6 an artefact not to be trusted, 70 an error of Darkroom itself.",
    )
    top.add_argument(
        "--debug", action="store_true", help="show where in the code an error arose (a traceback)"
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for stage, purpose in STAGES.items():
        verb = verbs.add_parser(stage, help=purpose, description=_sentence(purpose))
        if stage == CHECK_PARAMS:
            continue
        verb.add_argument(
            "name",
            metavar="NAME",
            nargs="?",
            default=argparse.SUPPRESS,
            help=f"a {'blend' if stage == 'blend' else 'competition'} of params.yaml",
        )
        verb.add_argument(
            "--name", metavar="NAME", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if stage in BY_ENTRY:
            verb.add_argument(
                "--stage", metavar="STAGE", default=argparse.SUPPRESS, help=argparse.SUPPRESS
            )
        if stage in BY_FOLD:
            verb.add_argument(
                "--fold",
                type=_fold,
                default=0,
                help="the fold to hold out (default 0); `all` holds out none",
            )
        if stage == "train":
            trial = verb.add_mutually_exclusive_group()
            for word, help_text in TRIALS.items():
                trial.add_argument(
                    f"--{word}", dest="trial", action="store_const", const=word, help=help_text
                )
        if stage == "predict":
            verb.add_argument(
                "--part",
                choices=PARTS,
                help="the images that the fold validates, or those to submit (default: both)",
            )
    check = verbs.add_parser(
        "check",
        help="verify a submission as its judge would",
        description="Verify a submission as its judge would: header, ids, values.",
    )
    check.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    check.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: its submission")
    _add_lr(verbs)
    _add_kaggle(verbs)
    verbs.add_parser("summary", help="print every submission's path, score and checks")
    use = verbs.add_parser(
        "use",
        help="take a recipe into params.yaml, or list the recipes",
        description="Take a recipe into params.yaml, keeping its comments and your data's source; "
        "or list the recipes, with the time and the score to expect.",
    )
    use.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="a name of the list, or a YAML file"
    )
    networks = verbs.add_parser(
        "networks",
        help="list the networks that `model` can name",
        description="List the networks that the section `model` can name, with their parameters, "
        "the input that their published weights learned from, and the licence of these.",
    )
    networks.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        help="'convnext*', or a part of a name; none: all but those of timm",
    )
    verbs.add_parser("schema", help="print the JSON schema of params.yaml")
    return top


def _add_lr(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    lr = verbs.add_parser(
        "lr",
        help="find a learning rate: train a little with rates that grow, and plot the loss",
        description="Find a learning rate: train with a rate that grows from 1e-7 to 10, a step at "
        "a time, until the loss diverges; print a suggestion for train.lr, and plot the loss to "
        "runs/NAME/. It touches no result and no stage.",
    )
    lr.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    lr.add_argument(
        "--fold", type=_fold, default=0, help="whose training images to learn from (default 0)"
    )
    lr.add_argument(
        "--steps",
        type=_steps,
        default=100,
        help="from the least rate to the greatest (default 100); more make a smoother curve",
    )
    lr.set_defaults(trial="lr")


def _steps(text: str) -> int:
    """Return a number of steps; ArgumentTypeError if it is none."""
    if not text.isdecimal() or not 20 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 20 to 10000")
    return int(text)


def _add_kaggle(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    submit = verbs.add_parser(
        "submit",
        help="check a submission and send it to Kaggle, once",
        description="Check a submission and send it to Kaggle, once: Kaggle's list is asked first, "
        "and a file that it holds is not sent again. Cut or killed, run it again. "
        "What was sent is recorded in submissions/history.csv.",
    )
    submit.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    submit.add_argument(
        "-m", "--message", required=True, help="what Kaggle shows beside the submission"
    )
    for option, purpose in (
        ("--wait", "stay until it is scored, half an hour at most"),
        ("--dry-run", "check and report, but send and record nothing"),
        ("--again", "send a file once more that was submitted before"),
        ("--uncommitted", "send a file that is not made from what is committed"),
    ):
        submit.add_argument(option, action="store_true", help=purpose)
    history = verbs.add_parser(
        "history",
        help="local scores against the leaderboard's",
        description="Print every submission's local score beside its leaderboard scores, and draw "
        "them: whether validation can be trusted.",
    )
    history.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    history.add_argument(
        "--offline", action="store_true", help="do not ask Kaggle for the scores still lacking"
    )


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


def _fold(text: str) -> Fold:
    """Return a fold's number, or `all`; ArgumentTypeError if it is neither."""
    if text != ALL and not text.removeprefix("-").isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number or `all`")
    return ALL if text == ALL else int(text)


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
    return {"name": names[int(number)]} | ({} if fold is None else {"fold": _fold(fold)})


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
        if verb == "predict" and options["part"] is None:
            return max([_run_stage(verb, name, options | {"part": part}) for part in PARTS])
        if verb in STAGES:
            return _run_stage(verb, name, options)
        options["context"] = read_context(name)
    # A check of all parameters is of no competition, and writes what no other stage writes.
    module = import_module(f"darkroom.{'stages' if verb in STAGES else 'cli'}.{verb}")
    begin()
    code = module.run(**options)
    return code if isinstance(code, int) else 0


def _run_stage(stage: str, name: str, options: dict[str, Any]) -> int:
    """Run a stage."""
    locked = _is_leader()
    runs = {key: options[key] for key in ("fold", "part") if key in options}
    read = partial(_read_for, stage, name)
    with stage_run(stage, read, **runs, locked=locked) as context:
        # train is a command too: it starts several processes, and passes TensorBoard.
        module = import_module(f"darkroom.{'cli' if stage == 'train' else 'stages'}.{stage}")
        if stage != "train":  # it imports torch first
            begin()
        code = module.run(context=context, **options)
    if locked and not code:
        files.write(
            context.paths.stamp(stage, *runs.values()), "done\n"
        )  # DVC warns of empty files
    return code if isinstance(code, int) else 0


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


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}."


def _with_exit_code(error: Exception) -> DarkroomError:
    """Return an error as one of ours; what nobody foresaw is an InternalError."""
    if isinstance(error, DarkroomError):
        return error
    if isinstance(error, OSError):
        return _resource_error(error)
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
    fix = "free some space and run again" if error.errno in DISK_FULL else None
    if error.errno == errno.EFBIG:
        fix = "raise the limit of a file's size (ulimit -f), or use a file system that allows more"
    message = error.strerror or str(error) or type(error).__name__
    return ResourceError(message, file=error.filename, fix=fix)


def _is_unread() -> bool:
    """Return whether nobody reads the output any more; if so, let nothing more be written to it."""
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

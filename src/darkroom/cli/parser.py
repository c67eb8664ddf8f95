"""The arguments of the command line: its verbs, their names and options."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from darkroom.project.paths import ALL, Fold

CHECK_PARAMS = "params"
BY_FOLD = ("fold", "transfer", "pseudo", "train", "predict")
BY_ENTRY = ("transfer", "pseudo", "blend")  # of a list in params.yaml
PARTS = ("valid", "test")
TRIALS = {
    "check": "go through all of it with one batch, in seconds; nothing of it is kept",
    "overfit": "learn a few images by heart, or say what is wrong; nothing of it is kept",
}
STAGES = {
    CHECK_PARAMS: "check params.yaml; move away what it no longer names, to .darkroom/dropped",
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
_Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parse(arguments: Sequence[str] | None) -> dict[str, Any]:
    """Return the parsed arguments; a stage's name may stand alone or, as DVC writes it, in --name.

    DVC quotes what it puts behind an option, and nothing else.
    """
    top = parser()
    if arguments == [] or (arguments is None and len(sys.argv) == 1):
        top.print_help(sys.stderr)
        top.exit(2)
    options = vars(top.parse_args(arguments))
    is_named = {"name", "stage"} & options.keys()
    if options["verb"] in STAGES and options["verb"] != CHECK_PARAMS and not is_named:
        top.error(f"{options['verb']}: the following arguments are required: NAME")
    if options["verb"] == "predict":
        _check_predict(top, options)
    return options


def _check_predict(top: argparse.ArgumentParser, options: dict[str, Any]) -> None:
    """Leave the options of a stage, or those of new pictures; exit with a usage error for both."""
    needs_out = options["images"] is not None or options["raw"] is not None
    if needs_out != (options["out"] is not None):
        option = "--out" if needs_out else "--images or --raw"
        top.error(f"predict: the following arguments are required: {option}")
    if options["overlay"] and options["images"] is None:
        top.error("predict: --overlay goes with --images")
    if needs_out:
        del options["part"]
        return
    for option in ("images", "raw", "out", "overlay"):
        del options[option]
    options["fold"] = 0 if options["fold"] is None else options["fold"]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="darkroom",
        description="From a folder of competition images to a checked Kaggle submission. "
        "Begin with `darkroom doctor`, then `darkroom new FOLDER`.",
        epilog="`dvc repro` runs the stages (the verbs from params to blend) in order, and "
        "only those that an edit touches. `darkroom VERB --help` says more. "
        "Exit codes: 2 parameters or usage, 3 data, 4 Kaggle or another server, "
        "5 resources, 6 an artefact not to be trusted, 70 an error of Darkroom itself.",
    )
    top.add_argument(
        "--debug", action="store_true", help="show where in the code an error arose (a traceback)"
    )
    top.add_argument("--version", action=_Version, help="print the version")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for stage, purpose in STAGES.items():
        _add_stage(verbs, stage, purpose)
    _add_check(verbs)
    _add_lr(verbs)
    _add_export(verbs)
    _add_kaggle(verbs)
    _add_bundle(verbs)
    purpose = "print every submission's path, score and checks"
    verbs.add_parser("summary", help=purpose, description=_sentence(purpose))
    _add_report(verbs)
    _add_lists(verbs)
    new = verbs.add_parser(
        "new",
        help="make a project, or bring one up to date with the installed package",
        description="Make a project in an empty folder: params.yaml, dvc.yaml and what else it "
        "needs. In a project, after an upgrade of the package: write all anew but what is yours "
        "(params.yaml, Makefile, .gitignore).",
    )
    new.add_argument("folder", metavar="FOLDER", type=Path, help="an empty one, or a project: `.`")
    verbs.add_parser(
        "doctor",
        help="say what this machine has and lacks, and what to do",
        description="Print versions, GPU, disk, Kaggle account, DVC and write access; say what is "
        "wrong, and what to do. No server is asked. Exit code 5: something is wrong.",
    )
    verbs.add_parser(
        "schema",
        help="print the JSON schema of params.yaml",
        description="Print the JSON schema of params.yaml, by which an editor completes and checks "
        "its keys: darkroom schema > params.schema.json.",
    )
    return top


class _Version(argparse.Action):
    """Print the version and end; only then is it looked up."""

    def __init__(self, option_strings: Sequence[str], **words: Any) -> None:
        super().__init__(option_strings, **words | {"dest": argparse.SUPPRESS, "nargs": 0})

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"darkroom {version('darkroom')}")
        parser.exit()


def fold_number(text: str) -> Fold:
    """Return a fold's number, or `all`; ArgumentTypeError if it is neither."""
    if text != ALL and not text.removeprefix("-").isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number or `all`")
    return ALL if text == ALL else int(text)


def _add_stage(verbs: _Verbs, stage: str, purpose: str) -> None:
    verb = verbs.add_parser(stage, help=purpose, description=_sentence(purpose))
    if stage == CHECK_PARAMS:
        return
    kind = "blend" if stage == "blend" else "competition"
    verb.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default=argparse.SUPPRESS,
        help=f"a {kind} of params.yaml",
    )
    for option in ("name", *(["stage"] if stage in BY_ENTRY else [])):  # DVC's
        verb.add_argument(
            f"--{option}",
            metavar=option.upper(),
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )
    if stage == "predict":
        verb.add_argument(
            "--fold",
            type=fold_number,
            help="the fold whose network predicts (default 0; with --images all folds, averaged; "
            "--raw takes all of them)",
        )
    elif stage in BY_FOLD:
        verb.add_argument(
            "--fold",
            type=fold_number,
            default=0,
            help="the fold to hold out; `all` holds out none (default 0)",
        )
    if stage == "train":
        trial = verb.add_mutually_exclusive_group()
        for word, help_text in TRIALS.items():
            trial.add_argument(
                f"--{word}", dest="trial", action="store_const", const=word, help=help_text
            )
    if stage == "predict":
        _add_predict(verb)


def _add_predict(verb: argparse.ArgumentParser) -> None:
    verb.description = (
        "Keep what a fold's network says of each image of a part. With --images or --raw it is "
        "no stage: models predict new pictures, or a test set, and need no training data."
    )
    which = verb.add_mutually_exclusive_group()
    which.add_argument(
        "--part",
        choices=PARTS,
        help="the images that the fold validates, or those to submit (default: both)",
    )
    which.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="new pictures: a folder, an archive, a table with a column of paths, or one picture; "
        "by all folds, averaged, unless --fold names one",
    )
    which.add_argument(
        "--raw",
        type=Path,
        metavar="FOLDER",
        help="raw files of the competition, of which the test part is predicted, as for a "
        "submission: a hidden test set, say",
    )
    verb.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="with --images: .csv, .csv.gz or .parquet, or a new folder for masks; with --raw: "
        "the submission, .csv or .csv.gz",
    )
    verb.add_argument(
        "--overlay", action="store_true", help="with --images: draw masks on the pictures, too"
    )


def _add_check(verbs: _Verbs) -> None:
    check = verbs.add_parser(
        "check",
        help="verify a submission as its judge would",
        description="Verify a submission as its judge would: header, ids, values.",
    )
    check.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    check.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: its submission")


def _add_lr(verbs: _Verbs) -> None:
    lr = verbs.add_parser(
        "lr",
        help="find a learning rate: train a little with rates that grow, and plot the loss",
        description="Find a learning rate: train with a rate that grows from 1e-7 to 10, a step at "
        "a time, until the loss diverges; print a suggestion for train.lr, and plot the loss to "
        "runs/NAME/. It touches no result and no stage.",
    )
    lr.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    lr.add_argument(
        "--fold",
        type=fold_number,
        default=0,
        help="whose training images to learn from (default 0)",
    )
    lr.add_argument(
        "--steps",
        type=_steps,
        default=100,
        help="from the least rate to the greatest (default 100); more make a smoother curve",
    )
    lr.set_defaults(trial="lr")


def _add_export(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "export",
        help="write a fold's network as one file: ONNX or TorchScript",
        description="Write a fold's network as one file that predicts without Darkroom: uint8 "
        "pictures (N, H, W, C) of the stored size in, probabilities out. It is compared with the "
        "pipeline first, and refused where the two differ by more than 1e-4.",
    )
    verb.add_argument("name", metavar="NAME", help="a competition of params.yaml")
    verb.add_argument(
        "--fold", type=fold_number, default=0, help="whose network (default 0), or `all`"
    )
    form = verb.add_mutually_exclusive_group(required=True)
    for word, purpose in (
        ("onnx", "for ONNX Runtime; needs the extra [export]"),
        ("torchscript", "for torch.jit.load"),
    ):
        form.add_argument(f"--{word}", dest="form", action="store_const", const=word, help=purpose)
    verb.add_argument(
        "--out", type=Path, metavar="FILE", help="default: exports/NAME-foldN.onnx, or .pt"
    )


def _steps(text: str) -> int:
    """Return a number of steps; ArgumentTypeError if it is none."""
    if not text.isdecimal() or not 20 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 20 to 10000")
    return int(text)


def _add_kaggle(verbs: _Verbs) -> None:
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
        ("--notebook", "push a notebook with the models, wait until it has run, and submit that"),
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


def _add_report(verbs: _Verbs) -> None:
    report = verbs.add_parser(
        "report",
        help="write a page on a run, or on how two differ",
        description="Write reports/NAME/report.html, one file that needs no network: scores, "
        "curves, classes, the worst pictures, the audit, provenance. Or with two runs "
        "reports/NAME/compare.html: how they differ.",
    )
    report.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        action=_AtMostTwo,
        help="a competition or blend of params.yaml (default: all); for a comparison two runs, "
        "also revisions of git, experiments of DVC, or NAME@REVISION",
    )


class _AtMostTwo(argparse.Action):
    """Refuses a third value."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002  (argparse's)
    ) -> None:
        if len(values) > 2:
            parser.error(f"found {len(values)} runs, expected one, or two to compare; none: all")
        setattr(namespace, self.dest, values)


def _add_bundle(verbs: _Verbs) -> None:
    bundle = verbs.add_parser(
        "bundle",
        help="write a data set and a notebook that predict on Kaggle, without a network",
        description="Write a folder for a competition that runs your notebook on a hidden test "
        "set: a data set with the models, Darkroom and the packages that Kaggle lacks, and a "
        "notebook that predicts with them. Nothing is sent.",
    )
    bundle.add_argument("name", metavar="NAME", help="a competition of params.yaml, or a blend")
    bundle.add_argument(
        "--out", type=Path, metavar="FOLDER", help="default: bundles/NAME; an older one is replaced"
    )
    bundle.add_argument(
        "--user", metavar="USER", help="your name on Kaggle (default: KAGGLE_USERNAME)"
    )


def _add_lists(verbs: _Verbs) -> None:
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


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}."

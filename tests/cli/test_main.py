"""The command line: help, exit codes by kind, words on stderr, and nothing imported too early."""

import copy
import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from darkroom.cli import main, parser
from darkroom.errors import (
    ArtifactError,
    DarkroomError,
    DataError,
    ParamsError,
    RemoteError,
    ResourceError,
)
from darkroom.params.competition import Competition
from darkroom.project.paths import Layout
from darkroom.stages._context import Context
from tests.support import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder: locks are files."""
    monkeypatch.chdir(tmp_path)


def context(name: str) -> Context:
    return Context(7, (0,), cast(Competition, None), Layout(name))


def stage(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> list[str]:
    """Put a function in the place of every verb, and make any name that of a competition.

    Return the modules that are imported, as they come.
    """
    imported: list[str] = []

    def load(name: str) -> SimpleNamespace:
        imported.append(name)
        return SimpleNamespace(run=run)

    monkeypatch.setattr(main, "import_module", load)
    monkeypatch.setattr(main, "read_context", context)
    monkeypatch.setattr(main, "stage_run", lambda _, read, **__: nullcontext(read()))
    return imported


def raising(error: BaseException) -> Callable[..., None]:
    def run(**_: Any) -> None:
        raise error

    return run


SUBMIT = {
    "context": context("cars"),
    "message": "a b",
    "wait": False,
    "dry_run": False,
    "again": False,
    "uncommitted": False,
    "notebook": False,
}
COMMANDS = ["check", "lr", "export", "submit", "history", "bundle", "summary", "report"]
COMMANDS += ["use", "networks", "new", "doctor", "schema"]


@pytest.mark.parametrize("verb", [*parser.STAGES, *COMMANDS])
def test_every_verb_has_a_help_page(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([verb, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: darkroom {verb}" in text
    nameless = ("params", "summary", "report", "use", "networks", "new", "doctor", "schema")
    named = f"a {'blend' if verb == 'blend' else 'competition'} of params.yaml"
    assert (named in text) == (verb not in nameless)
    assert ("--fold" in text) == (verb in (*parser.BY_FOLD, "lr", "export"))


def test_the_help_lists_the_stages_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--help"])
    text = capsys.readouterr().out
    listed = re.findall(r"^    (\w+)\b", text, re.MULTILINE)
    assert listed == [*parser.STAGES, *COMMANDS]
    codes = "2 parameters or usage, 3 data, 4 Kaggle or another server, 5 resources, 6 an artefact"
    assert f"Exit codes: {codes}" in " ".join(text.split())


def test_a_command_that_is_silent_says_in_a_terminal_that_it_is_at_work(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "_SILENT_S", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    stage(monkeypatch, lambda: time.sleep(0.2))
    assert main.main(["summary"]) == 0
    assert capfd.readouterr().err == "\r\x1b[Kdarkroom summary: at work\n"
    monkeypatch.setenv("DVC_STAGE", "index@cars")  # its line stands above
    main.main(["summary"])
    monkeypatch.delenv("DVC_STAGE")
    stage(monkeypatch, lambda: None)
    main.main(["summary"])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    stage(monkeypatch, lambda: time.sleep(0.2))
    main.main(["summary"])
    assert capfd.readouterr().err == ""


def test_the_duration_of_a_stage_is_printed_if_it_is_one_to_notice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([10.0, 105.0, 10.0, 10.9])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    stage(monkeypatch, lambda **_: None)
    main.main(["evaluate", "cars"])
    assert capsys.readouterr().err == "cars: evaluate took 1 min 35 s\n"
    main.main(["evaluate", "cars"])
    assert capsys.readouterr().err == ""


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"darkroom {version('darkroom')}\n"


def test_a_package_that_lacks_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lack = ModuleNotFoundError("No module named 'tensorboard.compat'", name="tensorboard.compat")
    stage(monkeypatch, raising(lack))
    assert main.main(["summary"]) == 5
    assert "to do: pip install tensorboard" in capsys.readouterr().err
    stage(monkeypatch, raising(ModuleNotFoundError("No module named 'x'", name="x")))
    assert main.main(["summary"]) == 70


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "print the version"),  # the help
        (["develop"], "invalid choice: 'develop'"),
        (["index"], "the following arguments are required: NAME"),
        (["train", "cars", "--fold", "one"], "--fold: found 'one', expected a number or `all`"),
        (["fetch", "--name"], "argument --name: expected one argument"),
        (["index", "cars", "more"], "unrecognized arguments: more"),
        (["submit", "cars"], "the following arguments are required: -m/--message"),
    ],
)
def test_wrong_usage_is_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "module", "options"),
    [
        (["index", "cars"], "index", {"context": context("cars")}),
        (["index", "--name", "cars"], "index", {"context": context("cars")}),
        (
            ["train", "--name", "cars", "--fold", "3"],
            "train",
            {"context": context("cars"), "fold": 3},
        ),
        (["train", "cars", "--fold", "3"], "train", {"context": context("cars"), "fold": 3}),
        (["train", "cars"], "train", {"context": context("cars"), "fold": 0}),
        (["check", "cars"], "check", {"context": context("cars"), "file": None}),
        (["check", "cars", "a.csv"], "check", {"context": context("cars"), "file": Path("a.csv")}),
        (["submit", "cars", "-m", "a b"], "submit", SUBMIT),
        (
            ["submit", "cars", "--message", "a b", "--wait", "--dry-run"],
            "submit",
            SUBMIT | {"wait": True, "dry_run": True},
        ),
        (
            ["submit", "cars", "-m", "a b", "--again", "--uncommitted"],
            "submit",
            SUBMIT | {"again": True, "uncommitted": True},
        ),
        (["history", "cars"], "history", {"context": context("cars"), "offline": False}),
        (
            ["history", "cars", "--offline"],
            "history",
            {"context": context("cars"), "offline": True},
        ),
        (["summary"], "summary", {}),
        (["networks"], "networks", {"pattern": None}),
        (["networks", "convnext*"], "networks", {"pattern": "convnext*"}),
        (["doctor"], "setup.doctor", {}),
        (["new", "a/b"], "setup.new", {"folder": Path("a/b")}),
        (["use"], "recipes.use", {"recipe": None}),
        (["use", "a.yaml"], "recipes.use", {"recipe": "a.yaml"}),
    ],
)
def test_a_verb_runs_its_stage_with_its_arguments(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], module: str, options: dict[str, Any]
) -> None:
    calls: list[dict[str, Any]] = []
    imported = stage(monkeypatch, lambda **options: calls.append(options))
    assert main.main(arguments) == 0
    room = "stages" if module in parser.STAGES and module != "train" else "cli"
    assert imported == [f"darkroom.{room}.{module}"]
    assert calls == [options]


def test_a_stage_may_choose_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    stage(monkeypatch, lambda: 6)
    assert main.main(["summary"]) == 6


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ParamsError, 2),
        (DataError, 3),
        (RemoteError, 4),
        (ResourceError, 5),
        (ArtifactError, 6),
    ],
)
def test_each_kind_of_error_has_its_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: type[DarkroomError],
    code: int,
) -> None:
    stage(monkeypatch, raising(kind("it is odd", file="a.csv", row=3, found=1, expected=2)))
    assert main.main(["index", "cars"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    expected = "darkroom index cars: a.csv, row 3: it is odd\n  found: 1\n  expected: 2\n"
    assert err == expected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "data/x.part"),
            "data/x.part: No space left on device\n  to do: free some space and run again\n",
        ),
        (
            OSError(errno.EFBIG, "File too large", "data/x"),
            "data/x: File too large\n  to do: raise the limit of a file's size (ulimit -f), or use "
            "a file system that allows more\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "data/x"),
            "data/x: Read-only file system\n  to do: mount the disk for writing, or work in a "
            "folder of another one\n",
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "data/x"),
            "data/x: Is a directory\n  to do: a folder stands where a file is needed: move it "
            "away\n",
        ),
        (
            FileExistsError(errno.EEXIST, "File exists", "data"),
            "data: File exists\n  to do: a file stands where a folder is needed: move it away\n",
        ),
        (OSError("odd"), "odd\n"),
        (OSError(), "OSError\n"),
        (
            MemoryError(),
            "memory ran out\n  to do: lower batch_size or the image size\n",
        ),
    ],
)
def test_what_the_machine_lacks_is_5(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    words: str,
) -> None:
    stage(monkeypatch, raising(error))
    assert main.main(["train", "cars"]) == 5
    assert capsys.readouterr().err == f"darkroom train cars: {words}"


@pytest.mark.parametrize(
    ("file", "denied", "fix"),
    [
        ("data/a/b.csv", {"data": os.W_OK | os.X_OK}, "let yourself write to the folder data "),
        ("data/b.csv", {"data/b.csv": os.R_OK}, "let yourself read it: chmod u+r data/b.csv"),
        ("data/b.csv", {}, None),
    ],
)
def test_a_permission_that_lacks_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    denied: dict[str, int],
    fix: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/b.csv").touch()
    access = os.access  # which says yes to everything if root asks
    monkeypatch.setattr(
        os, "access", lambda path, mode: denied.get(str(path)) != mode and access(path, mode)
    )
    stage(monkeypatch, raising(PermissionError(errno.EACCES, "Permission denied", file)))
    assert main.main(["train", "cars"]) == 5
    first, *more = capsys.readouterr().err.splitlines()
    assert first == f"darkroom train cars: {file}: Permission denied"
    assert [line.startswith(f"  to do: {fix}") for line in more] == [True] * bool(fix)


def test_an_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage(monkeypatch, raising(KeyboardInterrupt()))
    assert main.main(["summary"]) == 130
    assert capsys.readouterr().err == "darkroom summary: interrupted\n"


def test_an_unexpected_exception_is_told_in_two_lines_and_is_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(main.DEBUG, raising=False)
    stage(monkeypatch, raising(ZeroDivisionError("ours")))
    assert main.main(["index", "cars"]) == 70
    message = capsys.readouterr().err
    assert message.splitlines()[0] == (
        "darkroom index cars: this is an error of Darkroom, or of a library that it uses"
    )
    assert re.search(r"found: ZeroDivisionError in test_main.py, line \d+: ours\n", message)
    assert "to do: run it with `darkroom --debug` before the command" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(("error", "code"), [(ZeroDivisionError("ours"), 70), (DataError("x"), 3)])
def test_debug_shows_where_an_error_arose(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    monkeypatch.setenv(main.DEBUG, "")  # so that it is as before when the test has ended
    stage(monkeypatch, raising(error))
    assert main.main(["--debug", "index", "cars"]) == code
    message = capsys.readouterr().err
    assert message.startswith("Traceback (most recent call last):\n")
    assert "darkroom index cars: " in message


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project of the competition `tiny`, whose raw files are there."""
    root = tiny.project(tmp_path / "project", "multiclass")
    (root / "data/raw/tiny").mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return root


def test_an_unknown_competition_leaves_no_lock(project: Path) -> None:
    assert main.main(["index", "../tidy"]) == 2
    assert main.main(["preprocess", "tidy"]) == 2
    assert not (project / ".darkroom").exists()


@pytest.mark.parametrize(
    ("variable", "value", "locked"),
    [
        ("RANK", "0", True),
        ("RANK", "1", False),
        ("RANK", "7", False),
        ("DARKROOM_LAUNCHER", "1", False),
    ],
)
def test_the_further_processes_of_a_training_take_no_lock(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, locked: bool
) -> None:
    stage(monkeypatch, lambda **_: None)
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", "error.json")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv(variable, value)
    runs: list[object] = []

    def noted(stage: str, read: Callable[[], Context], **options: object) -> Any:
        runs.append((stage, options))
        return nullcontext(read())

    monkeypatch.setattr(main, "stage_run", noted)
    assert main.main(["train", "tiny", "--fold", "0"]) == 0
    assert runs == [("train", {"fold": 0, "locked": locked})]


def test_the_context_of_a_competition(project: Path) -> None:
    def give(params: tiny.Params) -> None:
        params["folds"] = [1, 0]
        params["transfers"] = [{"to": "tiny", "from": "models/other/fold0"}]
        params["tiny"]["model"]["weights"] = "given"

    assert main.read_context("tiny").transfer is None
    tiny.edit(project, give)
    found = main.read_context("tiny")
    assert (found.name, found.seed, found.folds) == ("tiny", 7, (1, 0))
    assert found.section.preprocess.height == 32
    assert found.paths == Layout("tiny")
    assert found.transfer is not None
    assert (found.transfer.source, found.transfer.leakage) == ("models/other/fold0", "refuse")


@pytest.mark.parametrize("verb", [*list(parser.STAGES)[1:], "check", "submit", "history"])
def test_every_verb_refuses_an_unknown_name_with_the_nearest(
    project: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    more = ["-m", "first"] if verb == "submit" else []
    assert main.main([verb, "tinny", *more]) == 2
    assert capsys.readouterr().err == (
        f"darkroom {verb} tinny: params.yaml: there is no competition 'tinny'\n"
        "  expected: one of tiny\n  to do: did you mean 'tiny'?\n"
    )
    assert main.main([verb, "carvana", *more]) == 2
    assert "to do" not in capsys.readouterr().err
    (project / "params.yaml").unlink()
    assert main.main([verb, "tiny", *more]) == 2
    assert "params.yaml: there is no such file" in capsys.readouterr().err


def test_a_refusal_imports_nothing_heavy(project: Path) -> None:
    commands = [[verb, "tinny"] for verb in (*list(parser.STAGES)[1:], "check", "history")]
    commands.append(["submit", "tinny", "-m", "first"])
    code = (
        "import sys\n"
        "from darkroom.cli.main import main\n"
        "heavy = ('torch', 'pandas', 'numpy', 'albumentations', 'kaggle', 'requests')\n"
        f"for command in {commands}:\n"
        "    code = main(command)\n"
        "    print(command[0], code, [m for m in heavy if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{command[0]} 2 []" for command in commands]
    assert done.stderr.count("there is no competition 'tinny'") == len(commands)


def test_check_refuses_a_file_in_place_of_the_name(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "x.zip").write_bytes(b"PK\x03\x04")
    assert main.main(["check", "x.zip"]) == 2
    assert capsys.readouterr().err == (
        "darkroom check x.zip: the competition's name is missing before the file\n"
        "  found: `darkroom check x.zip`\n"
        "  expected: `darkroom check NAME FILE`, the file a submission: .csv or .csv.gz\n"
        "  to do: run `darkroom check NAME x.zip`, NAME being a competition of params.yaml\n"
    )


def test_schema_prints_params_schema_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["schema"]) == 0
    assert capsys.readouterr().out == (ROOT / "params.schema.json").read_text()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from darkroom.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "finally:\n"
        "    heavy = ('torch', 'pandas', 'numpy', 'pydantic', 'kaggle', 'requests')\n"
        "    print([m for m in heavy if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "usage: darkroom" in done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("module", ["argparse", "darkroom.params.file", "darkroom.stages.split"])
def test_ctrl_c_while_starting_prints_no_traceback(module: str) -> None:
    code = (
        "import os, signal, sys\n"
        # Where tests run in the background, Ctrl-C is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.argv = ['darkroom', 'split', 'carvana']\n"
        "from darkroom.cli import start\n"
        "start()\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.stderr, done.returncode) == ("darkroom: interrupted\n", 130)


def test_the_command_runs_by_its_module() -> None:
    command = [sys.executable, "-m", "darkroom.cli.main", "index", "cars"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT / "src")
    assert done.returncode == 2
    expected = "darkroom index cars: params.yaml: there is no such file\n"
    assert done.stderr.startswith(expected)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_gone_ends_a_command_quietly(tmp_path: Path, stream: str) -> None:
    command = "from darkroom.cli import main; import sys; sys.exit(main.main(['schema']))"
    if stream == "stderr":
        command = (
            "from darkroom.cli import main; import sys\n"
            "main._run = lambda _: print('x', file=sys.stderr, flush=True)\n"
            "sys.exit(main.main(['summary']))"
        )
    reader, writer = os.pipe()
    os.close(reader)
    other = tmp_path / "other"
    with other.open("wb") as file:
        streams: dict[str, Any] = {"stdout": file, "stderr": file, stream: writer}
        done = subprocess.run([sys.executable, "-c", command], **streams, check=False)
    os.close(writer)
    assert (done.returncode, other.read_text()) == (141, "")


@pytest.mark.parametrize("before", ["", "a/dvc.yaml:"])
def test_dvc_s_name_of_an_entry_means_its_competition_and_fold(tmp_path: Path, before: str) -> None:
    """From a folder above the project DVC writes the file before the stage."""

    def change(params: dict[str, Any]) -> None:
        params["competitions"] = [tiny.NAME, "second"]
        params["second"] = copy.deepcopy(params[tiny.NAME])
        params["transfers"] = [{"to": tiny.NAME, "from": "some.pth"}]
        params[tiny.NAME]["model"]["weights"] = "given"
        source = f"data/predictions/{tiny.NAME}"
        params["pseudo_labels"] = [{"to": "second", "from": source, "confidence": 0.9}]
        params["blends"] = [{"name": "both", "members": [tiny.NAME, "second"]}]

    tiny.edit(tiny.project(tmp_path, "multiclass"), change)
    assert main._run_of(f"{before}transfer@pair0-1") == {"name": tiny.NAME, "fold": 1}
    assert main._run_of(f"{before}pseudo@pair0-all") == {"name": "second", "fold": "all"}
    assert main._run_of(f"{before}blend@blend0") == {"name": "both"}
    for stage in ("transfer@pair1-1", "pseudo@pair1-0", "blend@blend1", "blend@blend0-0"):
        with pytest.raises(ParamsError, match="there is no such stage"):
            main._run_of(before + stage)
    for stage in ("pseudo@pair0", "pseudo@pair0-x", "train@tiny-0", "pseudo@blend0-0"):
        with pytest.raises(ParamsError, match="there is no such stage"):
            main._run_of(before + stage)

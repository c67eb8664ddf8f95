"""new: a project from the installed package; in a project, what a newer package brings.

params.yaml is the user's, and so are the artifacts of dvc.yaml. Its stages, .dvcignore,
params.schema.json and darkroom.json are Darkroom's: they are written anew, so that an upgrade is no
merge.
"""

import hashlib
import re
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path
from shutil import which

from darkroom.cli.setup.recorded_code import CODE, read_code, write_code
from darkroom.errors import DarkroomError, ParamsError
from darkroom.params import file as paramfile
from darkroom.project import files
from darkroom.project.paths import PARAMS

TEMPLATE = Path(__file__).parent / "template"
PIPELINE = "dvc.yaml"
SCHEMA = "params.schema.json"
USERS = {
    PARAMS: PARAMS,
    "Makefile": "Makefile",
    "gitignore": ".gitignore",  # under its own name it would rule the package's folder
    "metrics/README.md": "metrics/README.md",
    "dvc/config": ".dvc/config",
}
"""Of the template: what is written where there is none, and never again."""
OURS = {
    ".dvcignore": ".dvcignore",
    "dvc/plots.html": ".dvc/plots.html",
    "dvc/plots/losses.json": ".dvc/plots/losses.json",
}
"""Of the template: what is written each time."""
UNFINISHED = ".darkroom.new"
"""The file that a new project has until it is complete."""
DVC_IGNORED = "/config.local\n/tmp\n/cache\n"  # as `dvc init` writes it into .dvc
_HEAD = """\
# The pipeline, written by `darkroom new`; after an upgrade `darkroom new .` writes it anew, but for
# the artifacts at its end, which are yours.
# Stages of your own stand in the dvc.yaml of another folder. `dvc repro` runs what changed;
# `dvc repro -s train@carvana-0` one stage; `dvc dag` draws it. darkroom.json stands for the code.
# No name reaches a shell as it stands, and no output can leave its folder: see .dvcignore.
"""
_DIGEST = re.compile(r"^# digest: ([0-9a-f]{16})\n", re.MULTILINE)
_COMMENTS = re.compile(r"\A(?:#.*\n)+")
_STAGE = re.compile(r"(?=^  \w+:$)", re.MULTILINE)
_ARTIFACTS = re.compile(r"^(?=(?:(?:#.*)?\n)*artifacts:)", re.MULTILINE)  # and comments before
_ARTIFACTS_ALONE = re.compile(r"^(?=artifacts:)", re.MULTILINE)
_CODE_ENTRIES = re.compile(r"^ {6}- src/\S+\n", re.MULTILINE)


def run(folder: Path) -> None:
    """Make a project in a folder, or bring the one that stands there up to date.

    Args:
        folder: An empty one, one that is made, or a project.

    Raises:
        ParamsError: The folder holds something else, or an edited dvc.yaml.
        OSError: It can't be written to.
    """
    _require_place(folder)
    files.make_folder(folder)
    with files.lock(folder):  # another run may have begun it
        _write_project(folder)


def _write_project(folder: Path) -> None:
    is_project = _is_project(folder)
    old = read_code(folder)
    if not is_project:
        files.write(folder / UNFINISHED, "")
        if (folder / ".gitignore").is_file():
            _add_lines(folder / ".gitignore", (TEMPLATE / "gitignore").read_text(encoding="utf-8"))
    for source, target in USERS.items():
        if not (folder / target).exists():
            files.write(folder / target, (TEMPLATE / source).read_bytes())
    lines = _text(folder / ".dvcignore")
    for source, target in OURS.items():
        files.write(folder / target, (TEMPLATE / source).read_bytes())
    _add_lines(folder / ".dvcignore", lines)  # those that the user has added
    files.write(folder / ".dvc/.gitignore", DVC_IGNORED)
    files.write(folder / SCHEMA, paramfile.schema_text())
    text = (TEMPLATE / PIPELINE).read_text(encoding="utf-8")
    files.write(folder / PIPELINE, pipeline_text(text, _artifacts(folder, text)))
    new = write_code(folder, _stages(text))
    if not is_project:
        message = _welcome(folder, has_git=_set_up_git(folder))
        (folder / UNFINISHED).unlink()
        print(message)
        return
    changed = sorted(stage for stage in new.digests if old.digests.get(stage) != new.digests[stage])
    print(f"{folder}: from darkroom {old.version or 'unknown'} to {new.version}")
    print(f"their code has changed, so they run again: {', '.join(changed) or 'no stage'}")


def _is_project(folder: Path) -> bool:
    """Return whether a folder is a whole project; a params.yaml alone may be of another tool."""
    return (folder / CODE).is_file() and not (folder / UNFINISHED).exists()


def _text(path: Path) -> str:
    """Return a file's text, its lines ended by a line feed; "" where there is none.

    Raises:
        ParamsError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise ParamsError(
            "it is not UTF-8", file=path, found=error, fix="store it as UTF-8"
        ) from error


def _add_lines(path: Path, text: str) -> None:
    """Add to a file the lines of a text that it lacks, at its end, ended as its own are."""
    old = path.read_bytes().decode()
    lacking = [line for line in text.splitlines() if line not in old.splitlines()]
    if lacking:
        end = "\r\n" if "\r\n" in old else "\n"
        before = "" if old.endswith("\n") or not old else end
        files.write(path, old + before + "".join(f"{line}{end}" for line in lacking))


def pipeline_text(text: str, artifacts: str) -> str:
    """Return the pipeline of a project from Darkroom's own, whose stages depend on its source.

    In a project they depend on keys of darkroom.json, which `dvc repro` compares one by one.

    Args:
        text: Of Darkroom's own dvc.yaml.
        artifacts: Its end, which is the user's.
    """
    head, *stages = _STAGE.split(_COMMENTS.sub("", _before_artifacts(text)))
    body = head + "".join(map(_with_recorded_code, stages))
    return f"{_HEAD}# digest: {_digest(body)}\n{body}{artifacts}"


def _before_artifacts(text: str) -> str:
    return _ARTIFACTS.split(text)[0]


def _artifacts(folder: Path, text: str) -> str:
    """Return the end of a project's pipeline: as it is there, or a line a competition.

    Args:
        folder: Of the project.
        text: Of Darkroom's own dvc.yaml, with the lines of the competitions that ship.
    """
    there = _text(folder / PIPELINE)
    if "\nartifacts:" in there:
        return there[len(_before_artifacts(there)) :]
    names, fold = list[str](), "0"
    with suppress(DarkroomError):  # the first stage says what is wrong with it
        choices = paramfile.read_params(folder / PARAMS)
        names, fold = list(choices.competitions), str(choices.folds[0])
    end = text[len(_before_artifacts(text)) :]
    lines: dict[str, str] = {}
    for name in names:
        shipped = re.search(rf"^  {name}: .*\n", end, re.MULTILINE)
        key = name.rstrip("_")  # DVC takes none that ends so
        key = f"{key}-{len(lines)}" if key in lines else key
        line = f"  {key}: {{path: models/{name}/fold{fold}, type: model}}\n"
        lines[key] = shipped[0] if shipped and fold == "0" else line
    lead = end[: end.index("artifacts:")]
    return f"{lead}artifacts:" + ("\n" + "".join(sorted(lines.values())) if lines else " {}\n")


def _with_recorded_code(stage: str) -> str:
    name = stage.partition(":")[0].strip()
    entry = f"      - {CODE}:\n          - code.{name}\n"
    stage = _CODE_ENTRIES.sub("", stage)
    if "\n    params:\n" in stage:
        return stage.replace("\n    params:\n", f"\n    params:\n{entry}", 1)
    return stage.replace("\n    deps:\n", f"\n    params:\n{entry}    deps:\n", 1)


def _stages(text: str) -> list[str]:
    return [part.partition(":")[0].strip() for part in _STAGE.split(text)[1:]]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _require_place(folder: Path) -> None:
    """Refuse a folder that holds something else, or a pipeline that somebody has edited."""
    if folder.exists() and not folder.is_dir():
        raise ParamsError("it is no folder", file=folder, fix="name a folder that is empty, or new")
    for name in (*USERS.values(), *OURS.values(), SCHEMA, PIPELINE, CODE):
        path = folder / name
        if (path.exists() or path.is_symlink()) and not path.is_file():
            raise ParamsError("it is no file", file=path, fix="move it elsewhere")
    for name in (".gitignore", ".dvcignore", PIPELINE):
        _text(folder / name)  # raises before anything is written
    pipeline = folder / PIPELINE
    if not pipeline.is_file():
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        names -= {".git", ".gitignore", "README.md", "LICENSE", ".venv", PARAMS}
        if names and not (_is_project(folder) or (folder / UNFINISHED).exists()):
            raise ParamsError(
                "the folder is not empty",
                file=folder,
                found=", ".join(sorted(names)[:5]),
                fix="name a new folder",
            )
        return
    text = _text(pipeline)
    digest = _DIGEST.search(text)
    if digest is None:
        raise ParamsError(
            "it was not written by `darkroom new`",
            file=pipeline,
            fix="name a new folder; a clone of Darkroom is brought up to date by git pull",
        )
    body = text[digest.end() :]
    # Earlier versions took the comment before the artifacts, or all of it, for theirs.
    parts = (_before_artifacts(body), _ARTIFACTS_ALONE.split(body)[0], body)
    if digest[1] not in map(_digest, parts):
        raise ParamsError(
            "it has been edited, and would be written anew",
            file=pipeline,
            fix="move stages of your own to the dvc.yaml of another folder, remove this one, and "
            "run it again",
        )


def _set_up_git(folder: Path) -> bool:
    """Make the folder a repository of git where it is in none; return whether it is in one."""
    if which("git") is None:
        return False
    inside = ("git", "-C", str(folder), "rev-parse", "--is-inside-work-tree")
    if subprocess.run(inside, capture_output=True).returncode == 0:
        return True
    return subprocess.run(("git", "init", "-q", "--", str(folder))).returncode == 0


def _welcome(folder: Path, *, has_git: bool) -> str:
    if not has_git:  # DVC looks for a repository, unless it is told that there is none
        path = folder / ".dvc/config"
        text = _text(path)
        if "no_scm" not in text:
            files.write(path, text.replace("[core]\n", "[core]\n    no_scm = true\n", 1))
    return (
        f"{folder} is a project. Next:\n"
        f"  cd {shlex.quote(str(folder))}\n"
        "  dvc repro              # the three competitions on a drawn sample, in some minutes\n"
        "  darkroom use           # recipes of more than fifty competitions\n"
        "  $EDITOR params.yaml    # every choice; data.source names the raw files"
    )

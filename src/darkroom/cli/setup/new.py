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
_ARTIFACTS = re.compile(r"^(?=artifacts:)", re.MULTILINE)
_CODE_ENTRIES = re.compile(r"^ {6}- src/\S+\n", re.MULTILINE)


def run(folder: Path) -> None:
    """Make a project in a folder, or bring the one that stands there up to date.

    Args:
        folder: An empty one, one that is made, or a project.

    Raises:
        ParamsError: The folder holds something else, or an edited dvc.yaml.
        OSError: It can't be written to.
    """
    is_project = (folder / CODE).is_file()  # a params.yaml alone may be of another tool
    _require_place(folder, is_project=is_project)
    old = read_code(folder)
    files.make_folder(folder)
    if not is_project and (folder / ".gitignore").is_file():
        _add_lines(folder / ".gitignore", (TEMPLATE / "gitignore").read_text(encoding="utf-8"))
    for source, target in USERS.items():
        if not (folder / target).exists():
            files.write(folder / target, (TEMPLATE / source).read_bytes())
    ignored = folder / ".dvcignore"
    lines = ignored.read_text(encoding="utf-8") if ignored.is_file() else ""
    for source, target in OURS.items():
        files.write(folder / target, (TEMPLATE / source).read_bytes())
    _add_lines(ignored, lines)  # those that the user has added
    files.write(folder / ".dvc/.gitignore", DVC_IGNORED)
    files.write(folder / SCHEMA, paramfile.schema_text())
    text = (TEMPLATE / PIPELINE).read_text(encoding="utf-8")
    files.write(folder / PIPELINE, pipeline_text(text, _artifacts(folder, text)))
    new = write_code(folder, _stages(text))
    if not is_project:
        print(_welcome(folder, has_git=_set_up_git(folder)))
        return
    changed = sorted(stage for stage in new.digests if old.digests.get(stage) != new.digests[stage])
    print(f"{folder}: from darkroom {old.version or 'unknown'} to {new.version}")
    print(f"their code has changed, so they run again: {', '.join(changed) or 'no stage'}")


def _add_lines(path: Path, text: str) -> None:
    """Add to a file the lines of a text that it lacks, at its end."""
    old = path.read_text(encoding="utf-8")
    lacking = [line for line in text.splitlines() if line not in old.splitlines()]
    if lacking:
        end = "" if old.endswith("\n") or not old else "\n"
        files.write(path, old + end + "\n".join(lacking) + "\n")


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
    pipeline = folder / PIPELINE
    there = pipeline.read_text(encoding="utf-8") if pipeline.is_file() else ""
    if "\nartifacts:" in there:
        return there[len(_before_artifacts(there)) :]
    names, fold = list[str](), "0"
    with suppress(DarkroomError):  # the first stage says what is wrong with it
        choices = paramfile.read_params(folder / PARAMS)
        names, fold = list(choices.competitions), str(choices.folds[0])
    lines = []
    for name in names:
        shipped = re.search(rf"^  {name}: .*\n", text[len(_before_artifacts(text)) :], re.MULTILINE)
        key = re.sub("_+", "-", name).strip("-")  # DVC takes no others
        line = f"  {key}: {{path: models/{name}/fold{fold}, type: model}}\n"
        lines.append(shipped[0] if shipped and fold == "0" else line)
    return "artifacts:" + ("\n" + "".join(sorted(lines)) if lines else " {}\n")


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


def _require_place(folder: Path, *, is_project: bool) -> None:
    """Refuse a folder that holds something else, or a pipeline that somebody has edited."""
    if folder.exists() and not folder.is_dir():
        raise ParamsError("it is no folder", file=folder, fix="name a folder that is empty, or new")
    pipeline = folder / PIPELINE
    if not pipeline.is_file():
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        names -= {".git", ".gitignore", "README.md", "LICENSE", ".venv", PARAMS}
        if names and not is_project:
            raise ParamsError(
                "the folder is not empty",
                file=folder,
                found=", ".join(sorted(names)[:5]),
                fix="name a new folder",
            )
        return
    text = pipeline.read_text(encoding="utf-8")
    digest = _DIGEST.search(text)
    if digest is None:
        raise ParamsError(
            "it was not written by `darkroom new`",
            file=pipeline,
            fix="name a new folder; a clone of Darkroom is brought up to date by git pull",
        )
    if _digest(_before_artifacts(text[digest.end() :])) != digest[1]:
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
        text = path.read_text(encoding="utf-8")
        files.write(path, text.replace("[core]\n", "[core]\n    no_scm = true\n", 1))
    return (
        f"{folder} is a project. Next:\n"
        f"  cd {shlex.quote(str(folder))}\n"
        "  dvc repro              # the three competitions on a drawn sample, in some minutes\n"
        "  darkroom use           # recipes of more than fifty competitions\n"
        "  $EDITOR params.yaml    # every choice; data.source names the raw files"
    )

"""new: a project from the package, and what an upgrade writes anew."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from gto.constants import name_re as gto

from darkroom.cli import main
from darkroom.cli.parser import STAGES
from darkroom.cli.setup import doctor, new
from darkroom.cli.setup.recorded_code import code_digest, require_recorded_code
from darkroom.errors import ArtifactError
from darkroom.params import file as paramfile
from darkroom.project import files
from darkroom.project.packages import version_of

ROOT = Path(__file__).parents[3]
OWN: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
WRITTEN = {
    *(".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitignore", "Makefile", "darkroom.json"),
    *(
        ".dvc/plots.html",
        ".dvc/plots/losses.json",
        "dvc.yaml",
        "metrics/README.md",
        "params.schema.json",
        "params.yaml",
    ),
}


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "a" / "project"
    assert main.main(["new", str(folder)]) == 0
    assert f"{folder} is a project. Next:\n" in capsys.readouterr().out
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    relative = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in relative.items() if not name.startswith(".git/")}


def run_again(folder: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert main.main(["new", str(folder)]) == code
    streams = capsys.readouterr()
    return streams.err if code else streams.out


def test_a_project_has_what_it_needs_and_nothing_else(project: Path) -> None:
    assert set(contents(project)) == WRITTEN
    assert (project / ".git").is_dir()
    assert paramfile.read_params(project / "params.yaml").competitions == list(
        paramfile.read_params(ROOT / "params.yaml").competitions
    )
    same = ("params.yaml", ".dvcignore", ".gitignore", "params.schema.json", ".dvc/config")
    for name in (*same, ".dvc/plots.html", ".dvc/plots/losses.json"):
        assert (project / name).read_bytes() == (ROOT / name).read_bytes()
    assert not [path for path in project.rglob("*") if path.is_symlink()]


def test_its_stages_are_darkrooms_but_for_what_stands_for_the_code(project: Path) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    assert list(pipeline["stages"]) == list(OWN["stages"]) == list(STAGES)
    assert {key: value for key, value in pipeline.items() if key != "stages"} == {
        key: value for key, value in OWN.items() if key != "stages"
    }
    for name, stage in pipeline["stages"].items():
        expected = dict(OWN["stages"][name])
        assert stage["params"].pop(0) == {"darkroom.json": [f"code.{name}"]}
        stage["params"] = stage["params"] or None
        expected["deps"] = [each for each in expected["deps"] if not str(each).startswith("src/")]
        assert stage == {"params": None} | expected


def test_the_code_of_each_stage_is_recorded(project: Path) -> None:
    recorded = json.loads((project / "darkroom.json").read_text())
    assert recorded["code"] == {stage: code_digest(stage) for stage in STAGES}
    assert len(set(recorded["code"].values())) == len(STAGES)
    assert require_recorded_code("train", project) is None  # type: ignore[func-returns-value]
    assert require_recorded_code("train", ROOT) is None  # type: ignore[func-returns-value]


def test_an_upgrade_writes_all_but_what_is_the_users(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(project)
    out = run_again(project, capsys)
    assert out.endswith("their code has changed, so they run again: no stage\n")
    assert contents(project) == before
    text = (project / "params.yaml").read_text().replace("seed: 7 ", "seed: 8 ")
    mine = {"params.yaml": text, "Makefile": "mine:\n", ".gitignore": "/mine\n"}
    mine |= {"metrics/README.md": "mine", ".dvc/config": "[core]\n"}
    for name, content in mine.items():
        (project / name).write_text(content)
    (project / "params.schema.json").write_text("old")
    recorded = json.loads(before["darkroom.json"])
    recorded["version"], recorded["code"]["fetch"] = "0.1.9", "0" * 16
    (project / "darkroom.json").write_text(json.dumps(recorded))
    out = run_again(project, capsys)
    assert out == (
        f"{project}: from darkroom 0.1.9 to {version_of('darkroom')}\n"
        "their code has changed, so they run again: fetch\n"
    )
    after = contents(project)
    assert {name: after[name].decode() for name in mine} == mine
    assert {name: after[name] for name in after.keys() - mine} == {
        name: before[name] for name in before.keys() - mine
    }


def test_a_stage_of_other_code_than_recorded_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = json.loads((project / "darkroom.json").read_text())
    recorded["version"], recorded["code"]["index"] = "0.1.9", "0" * 16
    (project / "darkroom.json").write_text(json.dumps(recorded))
    monkeypatch.chdir(project)
    assert main.main(["index", "carvana"]) == 6
    text = capsys.readouterr().err
    assert "darkroom.json: the code of index is not what the project was set up with\n" in text
    assert "expected: the code of darkroom 0.1.9\n  to do: run `darkroom new .`" in text
    assert doctor.project().fix.startswith("`darkroom new .`")
    for damage in ("{", "[]", '{"version": 1}', "[" * 100_000):
        (project / "darkroom.json").write_text(damage)
        with pytest.raises(ArtifactError, match=r"darkroom\.json: it is damaged"):
            require_recorded_code("index")


def test_lines_that_a_user_has_added_to_dvcignore_stay(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / ".dvcignore"
    before = path.read_text()
    path.write_text(before + "/mine\n")
    run_again(project, capsys)
    assert path.read_text() == before + "/mine\n"


def test_an_edited_pipeline_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "dvc.yaml"
    path.write_text(path.read_text().replace("\nstages:\n", "\nstages:\n  mine: {cmd: date}\n"))
    before = contents(project)
    assert "it has been edited, and would be written anew" in run_again(project, capsys, 2)
    assert contents(project) == before
    path.unlink()
    run_again(project, capsys)
    assert "mine" not in path.read_text()


def test_artifacts_of_ones_own_stay(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "dvc.yaml"
    text = path.read_text()
    mine = text + "  mine: {path: models/mine/fold0, type: model}\n"
    path.write_text(mine)
    run_again(project, capsys)
    assert path.read_text() == mine
    path.write_text(text[: text.index("\nartifacts:") + 1] + "artifacts: {}\n")
    run_again(project, capsys)
    assert yaml.safe_load(path.read_text())["artifacts"] == {}


def test_artifacts_are_those_of_the_projects_own_competitions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["cars_512"] = params["carvana"]
    params |= {"competitions": ["carvana", "cars_512"], "folds": [2, 3]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    run_again(tmp_path, capsys)
    assert yaml.safe_load((tmp_path / "dvc.yaml").read_text())["artifacts"] == {
        "cars_512": {"path": "models/cars_512/fold2", "type": "model"},
        "carvana": {"path": "models/carvana/fold2", "type": "model"},
    }
    assert run_again(tmp_path, capsys).endswith("run again: no stage\n")


def test_each_competition_has_an_artifact_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    names = ["cars", "cars_", "cars__a", "cars_a"]
    params |= dict.fromkeys(names, params["carvana"])
    params["competitions"] = names
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    run_again(tmp_path, capsys)
    artifacts = yaml.safe_load((tmp_path / "dvc.yaml").read_text())["artifacts"]
    assert {key: each["path"].split("/")[1] for key, each in artifacts.items()} == {
        "cars": "cars",
        "cars-1": "cars_",
        "cars__a": "cars__a",
        "cars_a": "cars_a",
    }
    assert all(gto.fullmatch(key) for key in artifacts)


def test_a_comment_before_the_artifacts_is_the_users(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "dvc.yaml"
    text = path.read_text()
    assert "add yours below.\nartifacts:" in text
    mine = text.replace("\nartifacts:", "\n# my own models\n\nartifacts:")
    path.write_text(mine)
    run_again(project, capsys)
    assert path.read_text() == mine


def test_a_pipeline_of_an_earlier_version_is_no_edited_one(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its digest is of more of it."""
    path = project / "dvc.yaml"
    text = path.read_text()
    head, body = re.split(r"(?<=\n)# digest: \w+\n", text)
    for part in (body, body[: body.index("\nartifacts:") + 1]):
        path.write_text(f"{head}# digest: {new._digest(part)}\n{body}")
        run_again(project, capsys)
        assert path.read_text() == text


@pytest.mark.parametrize("last", ["params.schema.json", "dvc.yaml", "darkroom.json", "git"])
def test_what_a_killed_run_began_is_gone_on_with(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: str,
) -> None:
    folder = tmp_path / "project"
    write = files.write

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def write_until(path: Path, data: bytes | str) -> None:
        write(path, data)
        if path.name == last:
            stop()

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", write_until)
        patch.setattr(new, "_set_up_git", stop)
        assert main.main(["new", str(folder)]) == 130
    assert f"{folder} is a project. Next:\n" in run_again(folder, capsys)
    assert set(contents(folder)) == WRITTEN
    assert (folder / ".git").is_dir()
    assert run_again(folder, capsys).endswith("run again: no stage\n")


def test_two_runs_at_once_make_one_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "darkroom.cli.main", "new", str(tmp_path / "project")]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    run_again(tmp_path / "project", capsys)
    out, _ = other.communicate()
    assert other.returncode == 0, out
    assert set(contents(tmp_path / "project")) == WRITTEN


@pytest.mark.parametrize("name", [".gitignore", ".dvcignore", "dvc.yaml"])
def test_a_text_of_another_encoding_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (project / name).write_bytes("# größer\n".encode("latin-1"))
    before = contents(project)
    assert f"{name}: it is not UTF-8" in run_again(project, capsys, 2)
    assert contents(project) == before


@pytest.mark.parametrize("name", ["params.yaml", ".gitignore"])
def test_what_is_no_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).mkdir()
    assert f"{name}: it is no file" in run_again(tmp_path, capsys, 2)
    (tmp_path / name).rmdir()
    (tmp_path / name).symlink_to("nowhere")
    assert f"{name}: it is no file" in run_again(tmp_path, capsys, 2)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_lines_of_gitignore_end_as_they_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".gitignore").write_bytes(b"/mine\r\n/other")
    run_again(tmp_path, capsys)
    data = (tmp_path / ".gitignore").read_bytes()
    assert data.startswith(b"/mine\r\n/other\r\n/")
    assert data.count(b"\n") == data.count(b"\r\n") > 3


def test_lines_may_end_as_windows_ends_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "dvc.yaml"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"\n", b"\r\n"))
    run_again(project, capsys)
    assert path.read_bytes() == before, "it is no edit, and is written anew"


def test_darkrooms_own_clone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    text = run_again(tmp_path, capsys, 2)
    assert "it was not written by `darkroom new`" in text
    assert "a clone of Darkroom is brought up to date by git pull" in text


def test_a_folder_that_holds_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").touch()
    assert "found: photo.jpg\n" in run_again(tmp_path, capsys, 2)
    assert "it is no folder" in run_again(tmp_path / "photo.jpg", capsys, 2)
    assert list(tmp_path.iterdir()) == [tmp_path / "photo.jpg"]


def test_a_project_of_another_tool_keeps_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("theirs: 1")
    (tmp_path / ".dvcignore").write_text("theirs")
    before = contents(tmp_path)
    assert "the folder is not empty" in run_again(tmp_path, capsys, 2)
    assert contents(tmp_path) == before


def test_a_folder_name_is_quoted_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["new", "two words"]) == 0
    assert "  cd 'two words'\n" in capsys.readouterr().out
    assert main.main(["new", "--", "-x"]) == 0
    assert (tmp_path / "-x/.git").is_dir()


def test_a_folder_with_a_readme_and_a_repository_will_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").write_text("/mine\n")
    run_again(tmp_path, capsys)
    ignored = (tmp_path / ".gitignore").read_text()
    assert ignored == "/mine\n" + (ROOT / ".gitignore").read_text()
    assert set(contents(tmp_path)) == WRITTEN | {"README.md"}


def test_without_git_dvc_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run_again(tmp_path / "project", capsys)
    assert not (tmp_path / "project/.git").exists()
    text = (tmp_path / "project/.dvc/config").read_text()
    assert text.startswith("[core]\n    no_scm = true\n    analytics = false\n")


@pytest.mark.slow
def test_a_project_of_a_built_wheel_runs_outside_of_any_clone(tmp_path: Path) -> None:
    """From the wheel alone: files that it lacks, or a path of the clone, show here."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("uv is not installed, which builds the wheel")
    site, folder = tmp_path / "site", tmp_path / "project"
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "PATH": os.pathsep.join(map(str, (site / "bin", Path(sys.executable).parent, "/usr/bin"))),
        "PYTHONPATH": str(site),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_OFFLINE": "1",
    }

    def run(*command: str | Path, cwd: Path = tmp_path) -> str:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(uv, "build", "-q", "--wheel", "--out-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    run(uv, "pip", "install", "-q", "--no-deps", "--target", site, wheel)
    run("darkroom", "new", folder)
    out = run("dvc", "repro", "index@banknotes", cwd=folder)
    assert "Running stage 'index@banknotes'" in out
    assert (folder / "data/index/banknotes.csv").is_file()
    assert "Stage 'index@banknotes' didn't change" in run(
        "dvc", "repro", "index@banknotes", cwd=folder
    )
    assert "banknotes-imagenet" in run("darkroom", "use", cwd=folder)
    # Other code of a stage: it runs again, and nothing before it.
    source = site / "darkroom/stages/index.py"
    source.write_text(source.read_text() + "\nx = 1\n")
    out = run("darkroom", "new", ".", cwd=folder)
    assert out.endswith("their code has changed, so they run again: index\n")
    out = run("dvc", "repro", "index@banknotes", cwd=folder)
    assert "Stage 'fetch@banknotes' didn't change" in out
    assert "Running stage 'index@banknotes'" in out

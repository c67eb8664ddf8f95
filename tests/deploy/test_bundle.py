"""A bundle for Kaggle: its files are enough, and its notebook writes the pipeline's rows."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.main import main
from darkroom.deploy import bundle
from darkroom.deploy.bundle import lacking_packages, public_params
from darkroom.deploy.kernel import slug_of
from darkroom.errors import ParamsError
from tests.deploy.conftest import KINDS, Trained
from tests.deploy.test_blends import BLENDED
from tests.deploy.test_blends import project as blended_project
from tests.deploy.test_test_set import hidden
from tests.support import tiny

COMPETITION = "tiny-things"
REFUSED = ("albumentations", "dvc", "kaggle", "kagglehub", "kagglesdk", "matplotlib", "tensorboard")
# Where Kaggle's image lacks them, they can't be imported: nor here.
HOOK = f"""\
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED}:
            raise ModuleNotFoundError(f"refused: {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add no wheels but our own: the environment of the tests has the others."""
    monkeypatch.setattr(bundle, "fetch_wheels", lambda *_: [])


def set_competition(params: dict[str, Any], name: str = tiny.NAME) -> None:
    params[name]["data"]["kaggle"] = COMPETITION


def bundled(root: Path, name: str = tiny.NAME) -> Path:
    """Return a folder /kaggle for the bundle of a project, its raw files in place."""
    tiny.edit(root, set_competition)
    assert main(["bundle", name, "--user", "Somebody"]) == 0
    kaggle = root / "kaggle"
    shutil.copytree(root / f"bundles/{name}/dataset", kaggle / "input" / slug_of(name))
    raw = hidden(root, "test.csv", "test.zip")
    raw.rename(kaggle / "input" / COMPETITION)
    (kaggle / "working").mkdir()
    return kaggle


def linked(dataset: Path, project: Path) -> Path:
    """Link the files of a data set to a project, as the notebook does."""
    contents = json.loads((dataset / "bundle.json").read_text())
    for path, name in contents["files"].items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).symlink_to(dataset / name)
    return project


def expected_rows(root: Path, name: str = tiny.NAME) -> bytes:
    return gzip.decompress((root / f"submissions/{name}.csv.gz").read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_enough(
    trained: Trained, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained(kind)
    kaggle = bundled(root)
    assert "kaggle datasets create -p bundles/tiny/dataset" in capsys.readouterr().out
    dataset = kaggle / "input/darkroom-tiny"
    assert {path.name for path in dataset.iterdir()} == {
        "bundle.json",
        f"darkroom-{version('darkroom')}-py3-none-any.whl",
        "data.index.tiny.json",
        "dataset-metadata.json",
        *(f"models.tiny.fold{n}.{name}" for n in (0, 1) for name in MODEL),
        "params.yaml",
        "reports.tiny.decision.json",
    }
    monkeypatch.chdir(linked(dataset, root / "elsewhere"))
    raw = str(kaggle / "input" / COMPETITION)
    assert main(["predict", "tiny", "--raw", raw, "--out", "submission.csv"]) == 0
    assert Path("submission.csv").read_bytes() == expected_rows(root)


MODEL = ("model.json", "model.safetensors")


def test_metadata_are_what_kaggle_s_client_takes(trained: Trained) -> None:
    root = trained("binary")
    bundled(root)
    dataset = json.loads((root / "bundles/tiny/dataset/dataset-metadata.json").read_text())
    assert dataset == {
        "title": "darkroom-tiny",
        "id": "somebody/darkroom-tiny",
        "licenses": [{"name": "other"}],
    }
    kernel = json.loads((root / "bundles/tiny/kernel/kernel-metadata.json").read_text())
    assert kernel["id"] == "somebody/darkroom-tiny"
    assert kernel["title"] == "darkroom-tiny"
    assert kernel["code_file"] == "notebook.ipynb"
    assert (kernel["language"], kernel["kernel_type"]) == ("python", "notebook")
    assert kernel["is_private"] is True
    assert kernel["enable_gpu"] is True
    assert kernel["enable_internet"] is False
    assert kernel["dataset_sources"] == ["somebody/darkroom-tiny"]
    assert kernel["competition_sources"] == ["tiny-things"]
    notebook = json.loads((root / "bundles/tiny/kernel/notebook.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds == ["markdown", "code", "code", "code"]
    assert len({cell["id"] for cell in notebook["cells"]}) == 4


def code_of(root: Path, name: str, kaggle: Path) -> str:
    """Return the code of a notebook, for a folder in the place of /kaggle."""
    notebook = json.loads((root / f"bundles/{name}/kernel/notebook.ipynb").read_text())
    cells = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return "\n".join(cells).replace("/kaggle/", f"{kaggle}/")


def environment(folder: Path, base: str) -> tuple[Path, dict[str, str]]:
    """Make an environment with the packages of a Python's, but without Darkroom and REFUSED."""
    python = folder / "bin/python"
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    command = [base, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (site / "shared.pth").write_text(packages)  # whose own .pth files do not count
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK)
    return python, os.environ | {"PYTHONPATH": str(hooks)}


def run_notebook(
    root: Path, name: str, kaggle: Path, base: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run the code of a notebook in a fresh process of a Python that has no network."""
    alone = ("unshare", "-r", "-n")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("a process without a network can't be started here: unshare is not permitted")
    python, variables = environment(root / "venv", base)
    script = root / "cells.py"
    script.write_text(code_of(root, name, kaggle))
    return subprocess.run(
        [*alone, python, script],
        cwd=kaggle / "working",
        env=variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow  # a process that imports torch
@pytest.mark.parametrize("kind", KINDS)
def test_the_notebook_writes_the_rows_of_the_pipeline(trained: Trained, kind: str) -> None:
    root = trained(kind)
    kaggle = bundled(root)
    for path in (kaggle / "input").rglob("*"):  # as Kaggle mounts it
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = run_notebook(root, tiny.NAME, kaggle)
    assert done.returncode == 0, done.stderr
    assert "tiny: 5 rows of 5 test images" in done.stdout
    assert (kaggle / "working/submission.csv").read_bytes() == expected_rows(root)
    assert [path.name for path in (kaggle / "working").iterdir()] == ["submission.csv"]


@pytest.mark.slow  # trainings
def test_the_notebook_of_a_blend_mixes_its_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blended_project(tmp_path, "multiclass", "mean")
    tiny.edit(tmp_path, lambda params: set_competition(params, "other"))
    kaggle = bundled(tmp_path, BLENDED)
    done = run_notebook(tmp_path, BLENDED, kaggle)
    assert done.returncode == 0, done.stderr
    assert (kaggle / "working/submission.csv").read_bytes() == expected_rows(tmp_path, BLENDED)


@pytest.mark.slow  # processes that import torch
def test_the_notebook_says_what_lacks(trained: Trained) -> None:
    root = trained("binary")
    kaggle = bundled(root)
    inputs = kaggle / "input"
    (inputs / "competitions").mkdir()
    (inputs / COMPETITION).rename(inputs / "competitions" / COMPETITION)
    (inputs / "competitions" / COMPETITION / "test.csv").unlink()
    done = run_notebook(root, tiny.NAME, kaggle)
    assert done.returncode == 1
    assert "test.csv" in done.stdout
    assert "RuntimeError: darkroom.cli.main ended with code 3" in done.stderr
    shutil.rmtree(inputs / "competitions")
    shutil.rmtree(root / "venv")
    done = run_notebook(root, tiny.NAME, kaggle)
    assert "add this input to the notebook: tiny-things" in done.stderr


def test_packages_are_those_that_the_networks_need() -> None:
    always = {"isal", "ruamel.yaml", "simplejpeg"}
    assert lacking_packages([{"model": {"name": "resnet18"}}]) == always
    assert lacking_packages([{"model": {"name": "timm"}}]) == always | {"timm"}
    both = lacking_packages([{"model": {"name": "unet"}}, {"model": {"name": "fpn"}}])
    assert both == always | {"timm", "segmentation-models-pytorch"}


def test_names_are_those_that_kaggle_allows() -> None:
    assert slug_of("a") == "darkroom-a"
    assert slug_of("carvana_512") == "darkroom-carvana-512"
    assert slug_of("carvana__512_") == "darkroom-carvana-512-bdecb2"
    long = slug_of("ab_" * 30)
    assert len(long) == 50
    assert long != slug_of("ab_" * 31)
    assert slug_of("a" * 41) == "darkroom-" + "a" * 41


def test_a_bundle_holds_nothing_that_is_not_for_others(trained: Trained) -> None:
    root = trained("regression")
    (root / "models/tiny/fold0/.secret").write_text("mine")
    address = "https://me:word@h.org/a.zip?signature=abc"
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text + f"spare: {{train: {{files: '{address}'}}}}\n")
    public = public_params((root / "params.yaml").read_text())
    assert public == text + "spare: {train: {files: 'https://h.org/a.zip'}}\n"
    with pytest.raises(ParamsError, match="not for others"):
        public_params('urls: ["https://h.org/a\\u003Fb=c"]\n')
    (root / "params.yaml").write_text(text)
    kaggle = bundled(root)
    names = {path.name for path in (kaggle / "input/darkroom-tiny").iterdir()}
    assert not [name for name in names if "secret" in name]


def test_a_bundle_of_your_own_metric_has_its_file(trained: Trained) -> None:
    root = trained("regression")
    (root / "metrics").mkdir(exist_ok=True)
    (root / "metrics/own.py").write_text("")
    kaggle = bundled(root)
    assert (kaggle / "input/darkroom-tiny/metrics.own.py").is_file()


def test_two_runs_at_once_write_one_whole_bundle(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = trained("binary")
    tiny.edit(root, set_competition)
    codes = []

    def begin_another(*_: object) -> list[str]:
        codes.append(main(["bundle", "tiny", "--user", "me"]))
        return []

    monkeypatch.setattr(bundle, "fetch_wheels", begin_another)
    assert main(["bundle", "tiny", "--user", "me"]) == 0
    assert codes == [5]
    assert "another run writes or uploads this bundle" in capsys.readouterr().err
    folder = root / "bundles/tiny"
    contents = json.loads((folder / "dataset/bundle.json").read_text())
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {*contents["sha256"], "dataset/bundle.json"}
    assert {f"dataset/{name}" for name in contents["files"].values()} <= names


def test_what_cannot_be_bundled_is_refused(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = trained("binary")

    def refused(code: int, *options: str) -> str:
        assert main(["bundle", "tiny", *options]) == code
        assert not (root / "bundles/tiny").exists()
        return capsys.readouterr().err

    assert "there is no competition to submit to" in refused(2, "--user", "me")
    tiny.edit(root, set_competition)
    assert "neither --user nor KAGGLE_USERNAME" in refused(2)
    assert "expected: --user NAME" in refused(2, "--user", "me/you")
    assert "something already that is of no bundle" in refused(2, "--user", "me", "--out", "source")
    assert (root / "source/test.zip").exists()
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    decision = root / "reports/tiny/decision.json"
    decision.rename(root / "kept.json")
    assert "run `dvc repro evaluate@tiny` first" in refused(6)
    (root / "kept.json").rename(decision)
    assert main(["bundle", "tiny"]) == 0
    assert main(["bundle", "tiny"]) == 0  # an older bundle is replaced
    notebook = next((root / "bundles/tiny/kernel").glob("*.ipynb"))
    places = ("notes.txt", "dataset/my.csv", "dataset/my.whl", "dataset/dataset-metadata.json")
    for path in (notebook, *(root / "bundles/tiny" / place for place in places)):
        text = path.read_text() if path.exists() else ""
        path.write_text(f"{text} mine")
        assert main(["bundle", "tiny"]) == 2
        message = capsys.readouterr().err
        assert f"found: {path.relative_to(root / 'bundles/tiny').as_posix()}\n" in message
        assert path.read_text() == f"{text} mine"
        path.write_text(text) if text else path.unlink()
    (root / "mine/dataset").mkdir(parents=True)
    (root / "mine/diary.txt").write_text("mine")
    for text in ("{}", "[]", "", '{"files": {}, "kernel": {}}'):
        (root / "mine/dataset/bundle.json").write_text(text)
        assert main(["bundle", "tiny", "--out", "mine"]) == 2
        assert "something already that is of no bundle" in capsys.readouterr().err
        assert (root / "mine/diary.txt").read_text() == "mine"
    tiny.edit(root, lambda params: params.update(folds=[0]))
    assert main(["bundle", "tiny", "--out", "other"]) == 6
    assert "than those that predict here" in capsys.readouterr().err

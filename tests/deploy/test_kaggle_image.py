"""Bundles under Kaggle's versions of Python, torch, numpy, OpenCV and pandas.

`make test-kaggle` makes such an environment and runs these tests with it. The bundles fetch their
wheels from the package index; their notebooks run without a network.
"""

import io
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.deploy.conftest import KINDS, VERBS, Trained
from tests.deploy.test_bundle import bundled, expected_rows, run_notebook
from tests.support import tiny

PYTHON = os.environ.get("DARKROOM_KAGGLE_PYTHON")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        PYTHON is None,
        reason="DARKROOM_KAGGLE_PYTHON names no Python with Kaggle's packages: make test-kaggle",
    ),
]

# By kind of wheels that a bundle holds: the network, and the kind of target.
NETWORKS = {
    "torchvision": ("multiclass", {"name": "resnet18"}),
    "timm": ("regression", {"name": "timm", "backbone": "convnext_atto"}),
    "segmentation_models_pytorch": ("masks", {"name": "fpn", "encoder": "resnet18"}),
}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps fetched wheels, so that each is fetched once."""
    return tmp_path_factory.mktemp("wheels")


def rows_of_both(root: Path, wheels: Path) -> tuple[bytes, bytes]:
    """Run a bundle's notebook under Kaggle's Python; return its rows, and the pipeline's."""
    (root / ".darkroom").mkdir(exist_ok=True)
    (root / ".darkroom/wheels").symlink_to(wheels)
    kaggle = bundled(root)
    done = run_notebook(root, tiny.NAME, kaggle, str(PYTHON))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "tiny: 5 rows of 5 test images" in done.stdout
    return (kaggle / "working/submission.csv").read_bytes(), expected_rows(root)


def test_the_environment_has_kaggle_s_python() -> None:
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3 11\n"


@pytest.mark.parametrize("kind", KINDS)
def test_the_notebook_writes_the_rows_of_the_pipeline(
    trained: Trained, kind: str, wheels: Path
) -> None:
    rows, expected = rows_of_both(trained(kind), wheels)
    assert rows == expected


@pytest.mark.parametrize("package", NETWORKS)
def test_networks_of_other_packages_are_those_that_were_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, wheels: Path
) -> None:
    kind, model = NETWORKS[package]
    monkeypatch.chdir(tiny.project(tmp_path, kind, train={"epochs": 1}))
    tiny.edit(tmp_path, lambda params: params[tiny.NAME].update(model=model))
    tiny.run(*VERBS)
    rows, expected = rows_of_both(tmp_path, wheels)
    # Labels and masks are the same. Another torch computes numbers by other kernels: the last of
    # float32's digits that a submission holds of a regression differ, as by 2e-7 of a convnext.
    left, right = (pd.read_csv(io.BytesIO(each)) for each in (rows, expected))
    pd.testing.assert_frame_equal(left, right, rtol=1e-6, atol=0)

"""`dvc repro fetch` killed again and again: the right bytes, and none asked for twice."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.loopback import Competition, Drip, Kaggle
from tests.support.packed import zip_of

ROOT = Path(__file__).parents[2]
SLUG = "carvana-image-masking-challenge"
NEEDED = ("train.zip", "train_masks.zip", "test.zip", "sample_submission.csv.zip")
KILLS = [4, pytest.param(20, marks=pytest.mark.long)]
SIZE = 6_000_000  # bytes of an archive of pictures
SECONDS_A_KILL = 0.5  # of sending an archive: the three archives outlast the kills
PART = SIZE // 400
GRACE_S = 120.0

pytestmark = pytest.mark.slow


@pytest.fixture
def bodies(tmp_path: Path) -> dict[str, bytes]:
    """Return archives by name, those that are not needed among them."""
    rng = random.Random(4)
    names = (*NEEDED, "train_hq.zip", "metadata.csv.zip")
    sizes = {name: 900 if ".csv" in name else SIZE for name in names}
    return {
        name: zip_of(tmp_path / "made" / name, {f"{name[:-4]}/1": rng.randbytes(size)}).read_bytes()
        for name, size in sizes.items()
    }


@pytest.fixture
def kaggle(bodies: dict[str, bytes], kills: int) -> Iterator[Kaggle]:
    seconds = SECONDS_A_KILL * kills
    with Kaggle() as server:
        server.competitions[SLUG] = Competition(files=bodies)
        server.always("storage", Drip(PART, seconds * PART / SIZE))
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["carvana"]["data"]["source"] = "kaggle"
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(ROOT / "dvc.yaml", root)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True
    )
    return root


def _repro(project: Path, kaggle: Kaggle) -> "subprocess.Popen[bytes]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "fetch@carvana"],
        cwd=project,
        env=kaggle.environ() | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _kill(project: Path, kaggle: Kaggle, wait: float) -> bool:
    """Start, wait until a body begins to come and a little longer, kill; False: it ended first."""
    before, deadline = len(kaggle.requests_of("storage")), time.monotonic() + GRACE_S
    with _repro(project, kaggle) as process:
        while process.poll() is None and len(kaggle.requests_of("storage")) == before:
            assert time.monotonic() < deadline, "nothing is asked for"
            time.sleep(0.01)
        time.sleep(wait)
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=GRACE_S)
    return not ended


def _here(cache: Path) -> tuple[dict[str, int], set[str]]:
    """Return how many bytes of each half-fetched file lie in the cache, and the whole files."""
    archives = [path for path in cache.rglob("*.zip*") if path.is_file()]
    parts = {path.stem: path.stat().st_size for path in archives if path.suffix == ".part"}
    return parts, {path.name for path in archives if path.suffix == ".zip"}


@pytest.mark.parametrize("kills", KILLS)
def test_kills_cost_no_byte(
    project: Path, kaggle: Kaggle, bodies: dict[str, bytes], kills: int
) -> None:
    cache, rng = kaggle.home / ".cache" / "darkroom", random.Random(21)
    for _ in range(kills):
        parts, whole = _here(cache)
        requests = len(kaggle.requests_of("storage"))
        assert _kill(project, kaggle, rng.uniform(0, 1.0)), "fetched before the last kill"
        new = reversed(kaggle.requests_of("storage")[requests:])
        firsts = {request.path.rsplit("/", 1)[-1]: request for request in new}
        assert not whole & set(firsts), "a whole file was asked for again"
        for name, request in firsts.items():
            assert (request.range_start or 0) == parts.get(name, 0), name

    kaggle.always("storage")
    with _repro(project, kaggle) as process:
        output, _ = process.communicate(timeout=GRACE_S)
    assert process.returncode == 0, output.decode()

    raw = project / "data" / "raw" / "carvana"
    assert {p.name for p in raw.iterdir()} == {*NEEDED, "manifest.json"}
    entries = json.loads((raw / "manifest.json").read_text())["files"]
    assert {each["name"]: each["sha256"] for each in entries} == {
        name: hashlib.sha256(bodies[name]).hexdigest() for name in NEEDED
    }
    for name in NEEDED:
        assert (raw / name).read_bytes() == bodies[name]
    resumed = [r.range_start for r in kaggle.requests_of("storage") if r.range_start]
    assert len(resumed) >= kills // 2, "the kills fell where nothing was half fetched"

"""`dvc repro` killed again and again at random moments ends with the bits of one left alone.

First one long training, killed as soon as it has got on a little; then all stages, killed at any
moment, each time a further one is done the next, and from the start again once all are.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.faults.conftest import Tally
from tests.support import tiny

ROOT = Path(__file__).parents[2]
KILLS = [3, pytest.param(150, marks=pytest.mark.long)]
LONGEST = 1 / 4  # of what all stages take: the most until a run of them is killed
EPOCHS_A_KILL = 15  # so that training outlasts the kills
STAGES = ("train@tiny-0", "evaluate@tiny")
RESULTS = ("models/tiny/fold0/model.safetensors", "reports/tiny/metrics.json")
HISTORY = "reports/tiny/history/fold0.csv"
TRAIN = {
    "batch_size": 3,
    "accumulate": 2,
    "augment": "strong",
    "ema": 0.9,
    "mixup": 0.2,
    "mix_until": 0.5,
    "sample": "balanced",
    "clip": 1.0,
    "checkpoint_steps": 1,
}
NETWORK = {"name": "small_cnn", "width": 8, "depth": 2, "dropout": 0.3}
GRACE_S = 120.0  # until a stage that is asked to stop must have ended

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # of DVC's pygtrie
]


def _dvc(root: Path, *words: str) -> "subprocess.Popen[bytes]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *words],
        cwd=root,
        env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _done(root: Path, *words: str) -> None:
    with _dvc(root, *words) as process:
        _, output = process.communicate(timeout=1800)
    assert process.returncode == 0, output.decode()


def _repro(root: Path) -> None:
    _done(root, "repro", *STAGES)


def _hashes(root: Path) -> list[str]:
    return [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in (*RESULTS, HISTORY)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose pictures are stored, and nothing is trained yet."""
    root = tmp_path_factory.mktemp("kills") / "project"
    tiny.project(root, "multiclass", model=NETWORK, train=TRAIN)
    tiny.edit(root, lambda params: params.update(transfers=[]))
    _copy_pipeline(root)
    _done(root, "repro", "split@tiny", "preprocess@tiny")
    return root


def _copy_pipeline(root: Path) -> None:
    shutil.copy(ROOT / "dvc.yaml", root)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    _done(root, "init", "--no-scm")


def _kill(root: Path, rng: random.Random) -> None:
    """Start, wait until training gets on, kill at random; what is asked to stop must stop."""
    early = rng.random() < 0.2  # anywhere, also while DVC writes a file of its own
    wait = rng.uniform(0, 3) if early else rng.uniform(0, 0.12)
    # An interrupt in the midst of Python's imports may be swallowed there.
    gentle = [] if early else [signal.SIGTERM, signal.SIGINT]
    sent = rng.choice([signal.SIGKILL, *gentle])
    before = _progress(root)
    process = _dvc(root, "repro", *STAGES)
    try:
        if not early:
            _until_it_gets_on(process, root, before)
        time.sleep(wait)
        if process.poll() is None:
            os.killpg(process.pid, sent)
        _, output = process.communicate(timeout=GRACE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    words = f"{sent!r}: {process.returncode}: {output.decode()[-2000:]}"
    assert process.returncode != 0, f"training went on to its end: {words}"
    # The stage's own word: its exit code reaches DVC through $SHELL, and dash makes 130 a -2 of it.
    assert process.returncode < 0 or ": interrupted" in words, words
    _wait_until_alone(root)


def _until_it_gets_on(
    process: "subprocess.Popen[bytes]", root: Path, before: list[tuple[str, int]]
) -> None:
    deadline = time.monotonic() + GRACE_S
    while process.poll() is None and _progress(root) == before:
        assert time.monotonic() < deadline, "training does not get on"
        time.sleep(0.01)


def _progress(root: Path) -> list[tuple[str, int]]:
    """Return the checkpoints and when they were written."""
    checkpoints = []
    for path in sorted((root / ".darkroom").glob("*/training.ckpt")):
        try:
            checkpoints.append((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return checkpoints


def _wait_until_alone(root: Path) -> None:
    """Wait for the stage: asked to stop, it may outlive DVC by the batch it is at."""
    import fcntl

    deadline = time.monotonic() + GRACE_S
    for path in (root / ".darkroom").glob("*.lock"):
        with path.open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    assert time.monotonic() < deadline, "the stage does not stop"
                    time.sleep(0.05)


def _mend(root: Path) -> None:
    """Delete what DVC itself was killed at in the midst of writing, as the README tells."""
    for path in (root / "dvc.lock", root / ".dvc" / "tmp" / "rwlock"):
        try:
            whole = isinstance(yaml.safe_load(path.read_text()), dict)  # of JSON too
        except FileNotFoundError:
            continue
        except yaml.YAMLError:
            whole = False
        if not whole:
            path.unlink()


@pytest.mark.parametrize("kills", KILLS)
def test_kills_of_a_training_cost_no_bit(
    prepared: Path, tmp_path: Path, tally: Tally, seed: int, kills: int
) -> None:
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    lasting = dict.fromkeys(("epochs", "patience"), EPOCHS_A_KILL * kills)
    for root in (quiet, killed):
        shutil.copytree(prepared, root)
        tiny.edit(root, lambda params: params["tiny"]["train"].update(lasting))
    _repro(quiet)

    rng = random.Random(f"{seed} training")
    for _ in range(kills):
        _kill(killed, rng)
        _mend(killed)
    _repro(killed)
    tally("random kills under dvc repro", kills=kills)

    assert _hashes(killed) == _hashes(quiet)
    assert not list((killed / ".darkroom").glob("*/training.ckpt"))


def _outputs(root: Path) -> tiny.Files:
    """Return all that the stages made, without what DVC keeps for itself."""
    own = ("src/", ".dvc/", "dvc.", ".dvcignore")
    return {path: data for path, data in tiny.tree(root).items() if not path.startswith(own)}


@pytest.mark.long
def test_kills_of_all_stages_cost_no_bit(tmp_path: Path, tally: Tally, seed: int) -> None:
    fresh, quiet, killed = (tmp_path / name for name in ("fresh", "quiet", "killed"))
    tiny.project(fresh, "masks", train={"epochs": 2, "checkpoint_steps": 2})
    _copy_pipeline(fresh)
    shutil.copytree(fresh, quiet)
    start = time.monotonic()
    _done(quiet, "repro")
    longest_s = (time.monotonic() - start) * LONGEST
    expected = _outputs(quiet)
    assert "submissions/tiny.csv.gz" in expected

    rng = random.Random(f"{seed} all stages")
    kills = rounds = 0
    while kills < 150:
        if not killed.exists():
            shutil.copytree(fresh, killed)
        process = _dvc(killed, "repro")
        try:
            process.communicate(timeout=rng.uniform(0.5, longest_s))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=GRACE_S)
            _wait_until_alone(killed)
            _mend(killed)
            kills += 1
            continue
        assert process.returncode == 0, "it fails after a kill"
        assert _outputs(killed) == expected
        shutil.rmtree(killed)
        rounds += 1
    if killed.exists():
        _done(killed, "repro")
        assert _outputs(killed) == expected
    tally("random kills under dvc repro", kills=kills, rounds_of_all_stages=rounds)

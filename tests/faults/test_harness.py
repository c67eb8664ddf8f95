"""The attacks do what they say: known answers for watched calls, kills, disks and trials."""

import errno
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.test_full_disk import FailFrom
from tests.faults.test_kills import KillAt
from tests.faults.trials import Trial, read_all
from tests.support import syscalls
from tests.support.syscalls import Verdict

pytestmark = [
    pytest.mark.slow,  # the first one waits for the imports
    pytest.mark.skipif(not syscalls.available(), reason="this system reports no system calls"),
]
WRITING = ["openat a", "write a", "openat b", "write b", "rename c", "unlink a"]


def write_two() -> int:
    for name in ("a", "b"):
        Path(name).write_bytes(b"x" * 100)
    Path("b").rename("c")
    Path("a").unlink()
    Path("/dev/null").write_bytes(b"elsewhere")
    print("done")
    return 7


def write_elsewhere() -> int:
    """Write in a thread and in a process of its own."""
    thread = threading.Thread(target=Path("a").write_text, args=("x",))
    thread.start()
    thread.join()
    program = "from pathlib import Path; Path('b').write_text('x')"
    return subprocess.run([sys.executable, "-c", program], check=False).returncode


def say_when_full() -> int:
    try:
        return write_two()
    except OSError as error:
        print(errno.errorcode[error.errno or 0])
        return 5


def sleep_long() -> int:
    time.sleep(60)
    return 0


def read(number: int) -> str:
    from darkroom.errors import DataError

    if number == 1:
        raise DataError("no")
    if number == 2:
        raise KeyError("oh")
    if number == 3:
        raise DataError("\n".join("a long line of a message" for _ in range(2000)))
    if number == 4:
        while True:  # until its time is over
            number += 1
    return f"number {number}"


def test_calls_are_seen_in_order_and_only_below_the_root(tmp_path: Path) -> None:
    outcome = syscalls.run(write_two, root=tmp_path)
    assert [str(call) for call in outcome.calls] == WRITING
    assert (outcome.code, outcome.words, outcome.hung) == (7, "done\n", False)


def test_threads_and_other_processes_are_seen_too(tmp_path: Path) -> None:
    outcome = syscalls.run(write_elsewhere, root=tmp_path)
    assert [str(call) for call in outcome.calls] == WRITING[:4]


@pytest.mark.parametrize(("how", "size"), [("kill", 0), ("tear", 50)])
def test_a_kill_comes_before_the_call_or_in_its_midst(
    tmp_path: Path, how: Verdict, size: int
) -> None:
    outcome = syscalls.run(write_two, root=tmp_path, verdict=KillAt(3, how))
    assert outcome.code == -9
    assert [str(call) for call in outcome.calls] == WRITING[:4]
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {"a": 100, "b": size}


def test_a_full_disk_refuses_what_grows_and_nothing_else(tmp_path: Path) -> None:
    outcome = syscalls.run(say_when_full, root=tmp_path, verdict=FailFrom(4, errno.EDQUOT))
    assert (outcome.code, outcome.words) == (5, "EDQUOT\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "the rename failed"


def test_a_run_without_an_end_is_ended(tmp_path: Path) -> None:
    assert syscalls.run(sleep_long, root=tmp_path, verdict=None, limit_s=0.5).hung
    assert syscalls.run(sleep_long, root=tmp_path, limit_s=0.5).hung


def test_trials_tell_refusals_from_faults(tmp_path: Path) -> None:
    trials = read_all(read, root=tmp_path, count=6)
    assert [trial.outcome for trial in trials] == [
        "accepted", "refused", "traceback", "refused", "hang", "accepted",
    ]  # fmt: skip
    assert trials[0] == Trial(0, "accepted", "number 0")
    assert [trial.number for trial in trials if trial.is_fault] == [2, 4]

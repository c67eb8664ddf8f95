import errno
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from darkroom.errors import ParamsError
from darkroom.project.work import LOCK, discard_others, half_done, work_beside
from tests.support import tiny


def start(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)  # a lock is of an open file: threads count too
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_goes_when_the_work_is_done(tmp_path: Path) -> None:
    folder = tmp_path / ".darkroom" / "0123"
    with half_done(folder) as work:
        assert work == folder
        assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
        (folder / "half").touch()
    assert list((tmp_path / ".darkroom").iterdir()) == []


def test_it_stays_after_an_error_if_something_is_in_it(tmp_path: Path) -> None:
    def fail(name: str | None) -> None:
        with half_done(tmp_path / "work") as work:
            if name:
                (work / name).touch()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail(None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="killed"):
        fail("half")
    with half_done(tmp_path / "work") as work:
        assert (work / "half").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_second_run_waits_and_finds_the_finished_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, contents = tmp_path / "work", list[list[str]]()

    def again() -> None:
        with half_done(folder) as work:
            contents.append(sorted({path.name for path in work.iterdir()} - {LOCK}))

    with half_done(folder) as work:
        threads = [start(again), start(again)]
        wait_until(lambda: (work / "waiting.lock").exists())
        wait_until(lambda: _holders(work / "waiting.lock") == 2)
        assert contents == []
        (work / "result").touch()
    for thread in threads:
        thread.join(20)
    assert contents == [["result", "waiting.lock"]] * 2
    assert list(tmp_path.iterdir()) == [], "the last one removes it"
    line = f"waiting for another run of the same work, in {folder}\n"
    assert capsys.readouterr().err == line * 2


def _holders(path: Path) -> int:
    """Return how many open files of this process are this file."""
    names = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(handle.readlink())
    return names.count(path)


def test_a_folder_that_goes_while_a_run_waits_is_made_anew(tmp_path: Path) -> None:
    folder, order = tmp_path / "work", list[str]()

    def again() -> None:
        with half_done(folder) as work:
            order.append("second" if (work / LOCK).exists() else "no lock")

    with half_done(folder):
        thread = start(again)
        wait_until(lambda: (folder / "waiting.lock").exists())
        order.append("first")
        shutil.rmtree(folder)  # `make clean`
    thread.join(20)
    assert order == ["first", "second"]


def test_other_half_done_work_of_a_kind_goes_if_nobody_is_at_it(tmp_path: Path) -> None:
    names = [
        f"{kind}.{n:016}" for kind in ("a.predict", "a.evaluate", "aa.predict") for n in (1, 2)
    ]
    for name in (*names, "0" * 16, "a.predict.lock"):
        tiny.put(tmp_path / name / "half", "")
    with half_done(tmp_path / "a.predict.0000000000000003"):
        discard_others(tmp_path / names[1])
    assert not (tmp_path / names[0]).exists()
    assert all((tmp_path / name / "half").exists() for name in (*names[1:], "0" * 16))
    assert (tmp_path / "a.predict.lock").exists()
    tiny.put(tmp_path / "a.predict.0000000000000004/half", "")
    with half_done(tmp_path / "a.predict.0000000000000004"):
        discard_others(tmp_path / names[1])
        assert (tmp_path / "a.predict.0000000000000004/half").exists()


def test_processes_that_work_together_wait_together(tmp_path: Path) -> None:
    """Only the leader locks; the others go on when it has the lock."""
    flags: list[bool] = []
    turns = iter([False, False, True])

    def agree(flag: bool) -> bool:
        flags.append(flag)
        return next(turns)

    with half_done(tmp_path / "work", leads=False, agree=agree):
        assert not (tmp_path / "work").exists()
    assert flags == [False, False, False]
    turns = iter([True])
    with half_done(tmp_path / "work", agree=agree):
        pass
    assert flags[3:] == [True]


def test_a_result_appears_at_the_end_and_nothing_else_stays(tmp_path: Path) -> None:
    result = tmp_path / "new/folder/a.csv"
    with work_beside(result) as (part, scratch):
        tiny.put(scratch / "unpacked/b", "")
        tiny.put(part, "whole")
        assert sorted(tiny.tree(tmp_path)) == [
            "new/folder/.a.csv.part/result/a.csv",
            "new/folder/.a.csv.part/scratch/unpacked/b",
        ]
    assert tiny.tree(tmp_path) == {"new/folder/a.csv": b"whole"}
    assert (tmp_path / "new/folder").stat().st_mode & 0o777 == 0o755
    with work_beside(result) as (part, _):
        tiny.put(part, "newer")
    assert result.read_text() == "newer"


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    for name in ("new/folder/a.csv", "b.csv"):
        with suppress(RuntimeError), work_beside(tmp_path / name) as (part, _):
            tiny.put(part, "half")
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["masks", "scratch", "result", "work.lock"])
def test_a_folder_takes_the_place_of_an_empty_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with work_beside(tmp_path / name) as (part, _):
        tiny.put(part / "a.png", "mask")
    assert tiny.tree(tmp_path) == {f"{name}/a.png": b"mask"}


def test_what_comes_there_meanwhile_is_kept(tmp_path: Path) -> None:
    def write() -> None:
        with work_beside(tmp_path / "masks") as (part, _):
            tiny.put(part / "a.png", "mask")
            tiny.put(tmp_path / "masks/b.png", "of the user's")

    with pytest.raises(OSError, match="not empty"):
        write()
    assert tiny.tree(tmp_path) == {"masks/b.png": b"of the user's"}


def test_what_a_killed_run_left_goes_with_the_next_one(tmp_path: Path) -> None:
    with work_beside(tmp_path / "a.csv") as (part, scratch):
        tiny.put(part, "half")
        tiny.put(scratch / "unpacked", "half")
        shutil.copytree(part.parents[1], tmp_path / "killed")
    (tmp_path / "a.csv").unlink(missing_ok=True)
    (tmp_path / "killed").rename(tmp_path / ".a.csv.part")
    with work_beside(tmp_path / "a.csv") as (part, scratch):
        assert not part.exists()
        assert not scratch.exists()
        tiny.put(part, "whole")
    assert tiny.tree(tmp_path) == {"a.csv": b"whole"}


def test_two_runs_do_not_write_one_result(tmp_path: Path) -> None:
    """Whichever way it is named, and not even while the first one begins."""
    (tmp_path / "link").symlink_to(tmp_path)
    with work_beside(tmp_path / "a.csv") as (part, _):
        for folder in ("", "new/..", "link"):
            (tmp_path / "new").mkdir(exist_ok=True)
            with pytest.raises(ParamsError, match="another run writes this result") as caught:
                work_beside(tmp_path / folder / "a.csv").__enter__()
            assert ".part" not in str(caught.value)
        with work_beside(tmp_path / "b.csv") as (other, _):
            tiny.put(other, "b")
        tiny.put(part, "a")
    assert (tmp_path / "a.csv").read_text() == "a"


@pytest.mark.parametrize("name", ["", "result/a.csv"])
def test_what_others_call_so_is_left_alone(tmp_path: Path, name: str) -> None:
    """In each folder where results of this name, or folders of theirs, may come to stand."""
    for folder in ("", "new/"):
        tiny.put(tmp_path / folder / "a.csv.part", "of the user's")
    tiny.put(tmp_path / ".a.csv.part" / name, "of the user's")
    before = tiny.tree(tmp_path)
    with pytest.raises(ParamsError, match="something already where results stand until"):
        work_beside(tmp_path / "a.csv").__enter__()
    with suppress(RuntimeError), work_beside(tmp_path / "new/deep/a.csv"):
        raise RuntimeError
    assert tiny.tree(tmp_path) == before


def test_errors_of_the_folder_name_the_result(tmp_path: Path) -> None:
    def fail(error: OSError) -> OSError:
        with pytest.raises(OSError) as caught, work_beside(tmp_path / "a.csv"):  # noqa: PT011
            raise error
        return caught.value

    part = tmp_path / ".a.csv.part/result/a.csv"
    for own in (OSError(errno.ENOSPC, "full"), OSError(errno.ENOSPC, "full", str(part))):
        assert fail(own).filename == str(tmp_path / "a.csv")
    assert fail(OSError(errno.ENOENT, "none", "b.png")).filename == "b.png"

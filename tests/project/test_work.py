import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from darkroom.errors import ParamsError, ResourceError
from darkroom.project.work import LOCK, discard_others, half_done, temporary_work
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


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_temporary_work_goes_in_any_case(temporary: Path) -> None:
    with temporary_work("a-", []) as folder:
        (folder / "unpacked").touch()
        assert folder.parent.parent == temporary
    with suppress(RuntimeError), temporary_work("a-", []) as folder:
        (folder / "unpacked").touch()
        raise RuntimeError
    assert list(temporary.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_one(temporary: Path, tmp_path: Path) -> None:
    part, folder = tmp_path / "a.csv.part", tmp_path / ".masks.part"
    with temporary_work("a-", [part, folder]) as work:
        shutil.copytree(work.parent, tmp_path / "killed")
    shutil.move(tmp_path / "killed", temporary / "a-killed")
    tiny.put(part, "half")
    tiny.put(folder / "half.png", "half")
    tiny.put(temporary / "b-other/a", "another kind")
    (temporary / "a-link").symlink_to(temporary / "b-other")
    with temporary_work("a-", [part]):
        assert not part.exists()
        assert not folder.exists()
    assert sorted(path.name for path in temporary.iterdir()) == ["a-link", "b-other"]
    assert [path.name for path in (temporary / "b-other").iterdir()] == ["a"]


def test_what_others_write_or_wrote_is_left_alone(temporary: Path, tmp_path: Path) -> None:
    part = tmp_path / "a.csv.part"
    with temporary_work("a-", [part]) as work:
        part.write_text("half")
        with pytest.raises(ParamsError, match="another run writes this result"):
            temporary_work("a-", [part]).__enter__()
        with temporary_work("a-", [tmp_path / "b.csv.part"]):
            pass
        assert work.exists()
    with pytest.raises(ParamsError, match="there is something already"):
        temporary_work("a-", [part]).__enter__()
    assert part.read_text() == "half"
    assert list(temporary.iterdir()) == []


def test_without_a_temporary_folder_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(ResourceError, match="no folder for temporary files") as caught:
        temporary_work("a-", []).__enter__()
    assert "to do: set TMPDIR" in str(caught.value)

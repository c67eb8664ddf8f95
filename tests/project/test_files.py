import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import ParamsError, ResourceError
from darkroom.project import files
from darkroom.raw.sources import cache


def _fail_in(path: Path) -> None:
    with files.atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError("power cut")


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write(path, "one")
    files.write(path, b"two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"):
        _fail_in(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_new_name_is_made_durable_after_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the fsync of a folder, a power cut may take back the rename."""
    synced: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        names = sorted(each.name for each in path.iterdir()) if path.is_dir() else []
        synced.append((path.relative_to(tmp_path).as_posix(), names))

    monkeypatch.setattr(os, "fsync", noted)
    files.write(tmp_path / "new" / "a.txt", "one")
    assert synced == [(".", ["new"]), ("new/a.txt.part", []), ("new", ["a.txt"])]
    synced.clear()
    with files.atomic_folder(tmp_path / "f") as part:
        (part / "x").touch()
    assert synced == [(".", [".f.part", "new"]), (".f.part", ["x"]), (".", ["f", "new"])]


def test_a_folder_that_can_not_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refusing(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refusing)
    files.write(tmp_path / "a.txt", "one")
    assert (tmp_path / "a.txt").read_text() == "one"


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_has_its_mode_from_the_first_byte_on(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    (tmp_path / "a.txt.part").write_text("of a killed run")
    with files.atomic_write(path, mode=mode) as part:
        assert part.stat().st_mode & 0o777 == mode
        assert part.read_bytes() == b""
        part.write_text("secret")
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "secret"


def test_what_a_lock_creates_is_private(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    with files.lock(tmp_path / "mine" / ".darkroom" / "a.lock"):
        pass
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("mine", "mine/.darkroom")]
    assert modes == [0o755, 0o700]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()
    with files.atomic_folder(folder) as part:
        (part / "new").touch()
        assert (folder / "old").exists()
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()

    def fail() -> None:
        with files.atomic_folder(folder) as part:
            (part / "new").touch()
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert [p.name for p in folder.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def end(path: Path, fault: BaseException, resume: str = "0" * 64) -> None:
    def fill() -> None:
        with files.atomic_folder(path, resume=resume) as part:
            (part / "half").touch()
            raise fault

    with pytest.raises(type(fault)):
        fill()


def test_an_interrupted_folder_is_filled_further(tmp_path: Path) -> None:
    folder, key = tmp_path / "f", "0" * 64
    for fault in (KeyboardInterrupt(), ResourceError("a worker was killed")):
        end(folder, fault)
        assert [path.name for path in files.unfinished_folders(folder)] == [f".f.{key[:16]}.part"]
    with files.atomic_folder(folder, resume=key) as part:
        assert [path.name for path in part.iterdir()] == ["half"]
        (part / "other half").touch()
    assert sorted(path.name for path in folder.iterdir()) == ["half", "other half"]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_failed_folder_and_one_of_another_fingerprint_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    end(folder, OSError("full"))
    assert list(tmp_path.iterdir()) == []
    end(folder, KeyboardInterrupt())
    with files.atomic_folder(folder, resume="1" * 64) as part:
        assert list(part.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_moved_aside_by_a_killed_run_is_restored(tmp_path: Path) -> None:
    folder, aside = tmp_path / "f", tmp_path / ".f.old"
    aside.mkdir()
    (aside / "old").touch()

    def fail() -> None:
        with files.atomic_folder(folder):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert [p.name for p in folder.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_the_old_folder_is_restored_if_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()
    replace = Path.replace

    def refusing(path: Path, to: Path) -> Path:
        if path.name.endswith(".part"):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", refusing)
    with pytest.raises(OSError, match=rf"Disk quota exceeded: '{folder}'"):  # noqa: SIM117
        with files.atomic_folder(folder):
            pass
    assert [p.name for p in folder.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_leftovers_are_removed_beside_a_complete_folder(tmp_path: Path) -> None:
    for name in ("f", ".f.part", ".f.old", ".g.part", ".g.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    files.clear_leftovers(tmp_path / "f")
    files.clear_leftovers(tmp_path / "g")  # what was put aside is all that there is of it
    assert sorted(path.name for path in tmp_path.iterdir()) == [".g.old", ".g.part", "f"]
    assert (tmp_path / "f" / "file").exists()


def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:  # noqa: SIM117
        with files.atomic_write(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(OSError, match="odd") as caught:  # noqa: SIM117
        with files.atomic_write(tmp_path / "a.txt"):
            raise OSError(errno.EIO, "odd")
    assert caught.value.filename is None  # it may be of a file that the block reads


def test_an_error_of_the_unfinished_part_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    with pytest.raises(IsADirectoryError) as caught:
        files.write(tmp_path / "a", "x")
    assert str(caught.value).endswith(f"Is a directory: '{tmp_path / 'a'}'")
    with pytest.raises(NotADirectoryError) as below:
        files.write(tmp_path / "b" / "x", "x")
    assert below.value.filename == str(tmp_path / "b" / "x")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_an_error_of_the_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def failing(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    for write in (files.atomic_write, files.atomic_folder):
        with pytest.raises(OSError, match=os.strerror(code)) as caught:  # noqa: SIM117
            with write(tmp_path / "a") as part:
                part.touch()
        assert caught.value.filename == str(tmp_path / "a")
        assert list(tmp_path.iterdir()) == []


def test_a_second_process_calls_busy_and_waits_for_the_lock(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with files.lock(tmp_path, busy=waiting.set):
            order.append("second")

    with files.lock(tmp_path, busy=lambda: order.append("never")):
        thread = threading.Thread(target=second)  # a lock is of an open file: threads count too
        thread.start()
        assert waiting.wait(10)
        thread.join(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_busy_may_refuse_a_second_process(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "a.lock"

    def refuse() -> None:
        raise RuntimeError("taken")

    with files.lock(lock):
        with pytest.raises(RuntimeError, match="taken"):  # noqa: SIM117
            with files.lock(lock, busy=refuse):
                pass
        with files.lock(tmp_path / "b.lock", busy=refuse):
            pass
    with files.lock(lock, busy=refuse):
        pass
    assert lock.exists()


def test_the_content_of_a_lock_file_stays(tmp_path: Path) -> None:
    lock = tmp_path / "a"
    lock.write_text("dear to me")
    with files.lock(lock):
        pass
    assert lock.read_text() == "dear to me"


def test_no_file_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    open_ = os.open

    def noted(path: Path, *rest: int) -> int:
        opened.append(open_(path, *rest))
        return opened[-1]

    def refuse() -> None:
        raise RuntimeError("taken")

    monkeypatch.setattr(os, "open", noted)
    with files.lock(tmp_path), pytest.raises(RuntimeError):  # noqa: SIM117
        with files.lock(tmp_path, busy=refuse):
            pass
    assert len(opened) == 2
    for handle in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handle)


def test_the_size_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    assert files.file_size(tmp_path / "a") == 3
    assert files.file_size(tmp_path / "b") is None
    assert files.file_size(tmp_path) is None


def test_the_sha256_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert files.file_sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_the_home_folder_is_that_of_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.home_folder() == tmp_path


def test_a_missing_home_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    for function in (files.home_folder, cache.cache_root):
        with pytest.raises(ParamsError) as raised:
            function()
        assert str(raised.value).splitlines() == [
            "there is no home folder",
            "  found: neither HOME nor an entry in passwd",
            "  to do: set the environment variable HOME to a folder",
        ]


def test_a_folder_that_is_a_link_stays_one(tmp_path: Path) -> None:
    big, link = tmp_path / "big/f", tmp_path / "f"
    big.mkdir(parents=True)
    link.symlink_to(big)
    for name in ("one", "two"):
        with files.atomic_folder(link) as part:
            (part / name).touch()
        assert link.readlink() == big
        assert [p.name for p in big.iterdir()] == [name]
    assert sorted(p.name for p in (*tmp_path.iterdir(), *big.parent.iterdir())) == ["big", "f", "f"]


def test_a_link_to_a_disk_that_is_not_there_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "f"
    link.symlink_to(tmp_path / "disk/f")
    with pytest.raises(ResourceError) as caught, files.atomic_folder(link):
        pass
    assert f"found: {tmp_path}/disk, which does not exist" in str(caught.value)
    assert "to do: mount its disk, or make that folder" in str(caught.value)
    assert not (tmp_path / "disk").exists()


def test_a_link_to_the_root_of_a_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, link = tmp_path / "disk", tmp_path / "f"
    disk.mkdir()
    link.symlink_to(disk)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == disk)
    with pytest.raises(ResourceError, match="the root of a disk\n") as caught:
        files.atomic_folder(link).__enter__()
    assert f"to do: link to a folder in it: {disk}/f" in str(caught.value)


def test_a_walk_is_sorted_and_hears_every_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b/2", "b/1/x", "b.txt", "a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [Path(entry.path).relative_to(tmp_path) for entry in files.walk_files(tmp_path)]
    assert found == sorted(map(Path, ("b/2", "b/1/x", "b.txt", "a", "loop")))
    scandir = os.scandir

    def guarded(path: str | Path) -> Any:
        if str(path).endswith("b/1"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(PermissionError, match="b/1"):
        list(files.walk_files(tmp_path))


def test_files_of_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.yaml", "a.yaml", "c.txt"):
        (tmp_path / name).touch()
    assert files.matching_files(tmp_path, "*.yaml") == [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    assert files.matching_files(tmp_path / "absent", "*") == []

    def refuse(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError):
        files.matching_files(tmp_path, "*.yaml")

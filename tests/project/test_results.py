"""A finished result of the same fingerprint is shared, whole and right, or not at all."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from darkroom.project import files, results

FILES = {"a.arrow": b"first", "deep/b.csv": b"second"}
DIGESTS = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """Return the finished result of a section `one`."""
    for name, data in FILES.items():
        files.write(tmp_path / "data/one" / name, data)
    results.note_result("make", tmp_path / "data/one", "f1", DIGESTS, root=tmp_path)
    return tmp_path / "data/one"


def share(root: Path, fingerprint: str = "f1") -> results.SharedResult | None:
    folder = root / "data/two"
    return results.share_result("make", fingerprint, folder, section="two", root=root)


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_result_of_the_same_fingerprint_is_shared(tmp_path: Path, one: Path) -> None:
    assert share(tmp_path) == results.SharedResult("one", DIGESTS)
    assert contents(tmp_path / "data/two") == FILES
    assert share(tmp_path, "f2") is None
    for stage, section in (("other", "two"), ("make", "one")):  # a forced run makes it again
        place = tmp_path / "data/again"
        assert results.share_result(stage, "f1", place, section=section, root=tmp_path) is None


def test_it_takes_no_room_twice(tmp_path: Path, one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "shares_blocks", lambda *_: False)
    share(tmp_path)
    for name in FILES:
        assert (tmp_path / "data/two" / name).samefile(one / name)
        assert not (one / name).stat().st_mode & 0o222, "no editor changes both by one file"


def test_what_replaces_a_shared_file_leaves_the_other_section(tmp_path: Path, one: Path) -> None:
    share(tmp_path)
    files.write(tmp_path / "data/two/a.arrow", b"another")
    with files.atomic_folder(tmp_path / "data/two") as folder:
        (folder / "a.arrow").write_bytes(b"a third")
    assert contents(one) == FILES
    shutil.rmtree(one)
    assert contents(tmp_path / "data/two") == {"a.arrow": b"a third"}


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_where_no_link_can_be_made_files_are_copied(
    tmp_path: Path, one: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(results, "shares_blocks", lambda *_: False)
    monkeypatch.setattr(os, "link", refuse)
    assert share(tmp_path)
    assert contents(tmp_path / "data/two") == FILES
    assert not (tmp_path / "data/two/a.arrow").samefile(one / "a.arrow")


@pytest.mark.parametrize("fault", ["damaged", "a file gone", "gone", "a link", "a pipe"])
def test_what_is_not_as_noted_is_not_used(
    tmp_path: Path, one: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = one / "deep/b.csv"
    if fault == "damaged":
        files.write(victim, b"secont")
    elif fault == "gone":
        shutil.rmtree(one)
    else:
        victim.unlink()
        if fault == "a link":
            victim.symlink_to(one / "a.arrow")
        if fault == "a pipe":
            os.mkfifo(victim)
    files.write(tmp_path / "data/two/a.arrow", b"of an ended run, which goes on")
    assert share(tmp_path) is None
    assert contents(tmp_path / "data/two") == {"a.arrow": b"of an ended run, which goes on"}
    is_reported = "data/one is not what make wrote: not shared" in capsys.readouterr().err
    assert is_reported == (fault != "gone")


def test_what_a_kill_left_is_removed(tmp_path: Path, one: Path) -> None:
    files.write(tmp_path / "data/two/.shared/c.arrow", b"half")
    assert share(tmp_path)
    assert contents(tmp_path / "data/two") == FILES


def test_a_result_that_is_replaced_while_it_is_shared_is_not_mixed(
    tmp_path: Path, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = results._share

    def replaced_between(*arguments: Any) -> bool:
        is_shared = whole(*arguments)
        files.write(one / "deep/b.csv", b"newer")
        return is_shared

    monkeypatch.setattr(results, "_share", replaced_between)
    assert share(tmp_path) is None
    assert contents(tmp_path / "data/two") == {}


def test_a_damaged_note_is_passed_over(tmp_path: Path, one: Path) -> None:
    note = tmp_path / results.NOTES / "make=one.json"
    text = note.read_text()
    note.write_text(text.replace("data/one", "data/uno"))
    assert share(tmp_path) is None
    note.write_text(text[:20])
    assert share(tmp_path) is None


def test_another_section_helps_where_the_first_is_damaged(tmp_path: Path, one: Path) -> None:
    shutil.copytree(one, one.with_name("other"))
    results.note_result("make", one.with_name("other"), "f1", DIGESTS, root=tmp_path)
    files.write(one / "a.arrow", b"fir5t")
    shared = share(tmp_path)
    assert shared is not None
    assert shared.section == "other"
    assert contents(tmp_path / "data/two") == FILES

import multiprocessing
import os
import pickle
import struct
import tarfile
import time
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from darkroom.errors import DataError
from darkroom.raw import gunzip, limits
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, tar_of, zip_of
from tests.support.realdata import REALDATA, needs_realdata

MEMBERS = {"train/b.jpg": b"bb", "train/a.jpg": b"a" * 1000, "._c": b"", "train/.DS_Store": b"x"}
KINDS: dict[str, Callable[[Path, Mapping[str, bytes]], Path]] = {
    "t": folder_of,
    "t.zip": zip_of,
    "t.tar": tar_of,
    "t.tar.gz": tar_of,
    "t.tgz": tar_of,
}


@pytest.fixture
def raw(tmp_path: Path) -> Archives:
    return Archives(tmp_path / "raw", tmp_path / "unpacked")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_container_gives_the_same_members(raw: Archives, name: str) -> None:
    KINDS[name](raw.root / name, MEMBERS)
    assert raw.paths(name) == [f"{name}/train/a.jpg", f"{name}/train/b.jpg"]
    assert raw.read(f"{name}/train/b.jpg") == b"bb"
    assert raw.read(f"{name}/train/a.jpg") == b"a" * 1000
    assert raw.size(f"{name}/train/a.jpg") == 1000
    assert raw.has(f"{name}/train/a.jpg")
    assert not raw.has(f"{name}/train/c.jpg")


@pytest.mark.parametrize("name", KINDS)
def test_the_error_for_a_missing_member_names_the_nearest(raw: Archives, name: str) -> None:
    KINDS[name](raw.root / name, MEMBERS)
    with pytest.raises(DataError) as caught:
        raw.read(f"{name}/train/b.jpeg")
    assert f"{name}/train/b.jpeg: no such file" in str(caught.value)
    assert "found: 2 others, the nearest train/b.jpg" in str(caught.value)


def test_a_large_compressed_tar_is_read_from_an_unpacked_file(
    raw: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gunzip, "MAX_IN_MEMORY_BYTES", 100)
    tar_of(raw.root / "t.tar.gz", MEMBERS)
    assert raw.read("t.tar.gz/train/a.jpg") == b"a" * 1000
    assert len(list(raw.unpack_folder.glob("t.tar.gz-*.tar"))) == 1


def test_a_tar_that_a_browser_unpacked_is_read_under_its_old_name(raw: Archives) -> None:
    tar_of(raw.root / "t.tar", MEMBERS).rename(raw.root / "t.tar.gz")
    assert raw.read("t.tar.gz/train/b.jpg") == b"bb"


def test_bare_files_beside_the_containers_can_be_read(raw: Archives) -> None:
    folder_of(raw.root, {"x.jpg": b"x", "deep/images/y.jpg": b"y"})
    zip_of(raw.root / "deep" / "z.zip", {"z.jpg": b"z"})
    paths = ["x.jpg", "deep/images/y.jpg", "deep/z.zip/z.jpg"]
    assert [raw.read(path) for path in paths] == [b"x", b"y", b"z"]


def test_a_folder_whose_files_dvc_has_linked_to_its_cache_is_read(raw: Archives) -> None:
    folder_of(raw.root / "t", {"a.jpg": b"aa", "deep/b.jpg": b"b"})
    (raw.root / "t/a.jpg").rename(raw.root.parent / "cached")
    (raw.root / "t/a.jpg").symlink_to(raw.root.parent / "cached")
    assert raw.size("t/a.jpg") == 2
    assert raw.read("t/a.jpg") == b"aa"
    (raw.root / "t/deep/c").symlink_to(raw.root / "t")
    fresh = Archives(raw.root, raw.unpack_folder)
    with pytest.raises(DataError, match="found: deep/c: a link"):
        fresh.paths("t")


def test_a_pipe_is_not_opened(raw: Archives) -> None:
    folder_of(raw.root, {"t/a.jpg": b"a", "b.jpg": b"b"})
    for place in ("p.zip", "t/p"):
        os.mkfifo(raw.root / place)
    with pytest.raises(DataError, match=r"p\.zip: neither a file nor a folder"):
        raw.paths("p.zip")
    with pytest.raises(DataError, match="found: p: a device, pipe or folder"):
        raw.read("t/p")
    (raw.root / "broken.jpg").symlink_to("nowhere")
    assert raw.read("b.jpg") == b"b"  # what lies beside it, as in somebody's home, is no matter
    for name in ("p.zip", "broken.jpg"):
        with pytest.raises(DataError, match=f"{name}: no such file"):
            raw.read(name)


@pytest.mark.parametrize("name", ["t", "t.zip", "t.tar"])
def test_an_accent_is_found_in_either_form(raw: Archives, name: str) -> None:
    decomposed = unicodedata.normalize("NFD", "train/café.png")
    KINDS[name](raw.root / name, MEMBERS | {decomposed: b"nfd"})
    path = f"{name}/train/café.png"
    assert decomposed != "train/café.png"
    assert raw.has(path)
    assert raw.read(path) == raw.read(f"{name}/{decomposed}") == b"nfd"
    assert not raw.has(f"{name}/train/cafè.png")
    both = Archives(raw.root, raw.unpack_folder)
    KINDS[name](raw.root / f"2{name}", {decomposed: b"nfd", "train/café.png": b"nfc"})
    assert both.read(f"2{path}") == b"nfc"
    assert both.read(f"2{name}/{decomposed}") == b"nfd"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (
            "t.zip",
            b"Rar!",
            "to do: unpack it, and leave the folder or the table there",
        ),
        ("t.zip", b"PK\7\x08PK\3\4", "to do: join them: `cat t.zip.0* > t.zip`; for parts .z01,"),
        (
            "t.zip",
            b"PK\3\4" + bytes(99),
            "if it is the first of its parts, join them: `cat t.zip.0*",
        ),
        ("t.zip", b"\x1f\x8b\x08", "to do: rename it to t.tar.gz if it is whole"),
        ("t.tar.gz", b"PK\3\4", "to do: rename it to t.zip if it is whole"),
        ("t.zip", b"7z\xbc\xaf\x27\x1c", "to do: rename it to t.7z if it is whole"),
        ("t.zip", b"<html>", "to do: download it again"),
    ],
)
def test_what_to_do_about_an_archive_depends_on_what_it_is(
    raw: Archives, name: str, data: bytes, words: str
) -> None:
    raw.root.mkdir()
    (raw.root / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        raw.paths(name)
    assert words in str(caught.value)


def test_the_error_for_a_missing_container_names_the_nearest(raw: Archives) -> None:
    zip_of(raw.root / "train.zip", MEMBERS)
    with pytest.raises(DataError, match="trian is missing") as caught:
        raw.paths("trian")
    assert "found: train.zip" in str(caught.value)
    assert "if train.zip is it, rename it" in str(caught.value)


@pytest.mark.parametrize("name", ["t.zip", "t.tar", "t.tar.gz"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "found: an empty file"),
        (b"<!DOCTYPE html><html>quota</html>", "found: an HTML page"),
        (b"hello", "found: text"),
    ],
)
def test_what_is_no_archive_is_refused(raw: Archives, name: str, data: bytes, words: str) -> None:
    folder_of(raw.root, {name: data})
    with pytest.raises(DataError, match=r"not the archive that its name says") as caught:
        raw.paths(name)
    assert words in str(caught.value)
    assert "to do: download it again" in str(caught.value)


@pytest.mark.parametrize("name", ["t", "t.zip", "t.tar"])
def test_a_container_without_files_is_refused(raw: Archives, name: str) -> None:
    (raw.root / "t").mkdir(parents=True)
    if name != "t":
        KINDS[name](raw.root / name, {})
    with pytest.raises(DataError, match=f"{name}: holds no files|found: empty file"):
        raw.paths(name)


@pytest.mark.parametrize("name", ["t.zip", "t.tar", "t.tar.gz"])
def test_an_archive_cut_short_is_refused(raw: Archives, name: str) -> None:
    path = KINDS[name](raw.root / name, {f"{n}.jpg": bytes(range(256)) * 9 for n in range(9)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // 512 * 512 + 100])
    words = "the zip has no end" if name == "t.zip" else "can't be read"
    with pytest.raises(DataError, match=f"{name}: {words}") as caught:
        raw.paths(name)
    assert "to do: download it again" in str(caught.value)


def test_a_tar_with_a_damaged_header_is_refused(raw: Archives) -> None:
    path = tar_of(raw.root / "t.tar", {"a": b"a", "b": b"b", "c": b"c"})
    data = bytearray(path.read_bytes())
    data[2 * 512 + 3] ^= 1  # the second member's name: its checksum is wrong now
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"found: a damaged header"):
        raw.paths("t.tar")


def test_a_damaged_member_is_refused(raw: Archives) -> None:
    path = raw.root / "t.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"x" * 100)
    path.write_bytes(path.read_bytes().replace(b"xxxx", b"xyxx", 1))
    assert raw.paths("t.zip") == ["t.zip/a.jpg"]
    with pytest.raises(DataError, match=r"a\.jpg: can't be read") as caught:
        raw.read("t.zip/a.jpg")
    assert "Bad CRC-32" in str(caught.value)


@pytest.mark.parametrize(("declared", "words"), [(5, "Bad CRC-32"), (5000, "its size is not")])
def test_a_zip_that_lies_about_a_size_is_refused(raw: Archives, declared: int, words: str) -> None:
    path = zip_of(raw.root / "t.zip", {"a.jpg": b"x" * 1000})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", declared)
    path.write_bytes(data)
    with pytest.raises(DataError, match=words):
        raw.read("t.zip/a.jpg")


@pytest.mark.parametrize("declared", [0, 1, 2])
def test_a_count_of_16_bits_may_overflow_and_nothing_else(raw: Archives, declared: int) -> None:
    path = zip_of(raw.root / "t.zip", {"a.jpg": b"x"})
    data = bytearray(path.read_bytes())
    data[-14:-10] = struct.pack("<HH", declared, declared)
    path.write_bytes(data)
    if declared != 1:
        with pytest.raises(DataError, match=f"found: 1 members for {declared} declared"):
            raw.paths("t.zip")
        return
    local, entry = bytearray(data[:35]), bytearray(data[36:-22])
    members, entries, count = [], [], 2**16 + 1
    for number in range(count):
        name = b"%05d" % number
        members.append(bytes(local[:30]) + name + b"x")
        entries.append(bytes(entry[:42]) + struct.pack("<L", number * 36) + name)
    end = data[-22:-10] + struct.pack("<LLH", count * 51, count * 36, 0)
    path = raw.root / "many.zip"
    path.write_bytes(b"".join([*members, *entries, end]))
    assert len(raw.paths("many.zip")) == count
    assert raw.read("many.zip/65536") == b"x"


def test_a_member_over_the_limit_is_not_read(
    raw: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_MEMBER_BYTES", 999)
    zip_of(raw.root / "t.zip", MEMBERS)
    with pytest.raises(DataError, match="too large to be read") as caught:
        raw.read("t.zip/train/a.jpg")
    assert "found: 1,000 bytes\n  expected: at most 999 bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *((name, bad) for name in ("t.zip", "t.tar") for bad in ("../a.jpg", "/a.jpg", "a\\b.jpg")),
        ("t.tar", "c:/a.jpg"),
        ("t.zip", "a\0.jpg"),  # a tar's names end at a NUL
    ],
)
def test_a_member_that_leads_out_is_refused(raw: Archives, name: str, bad: str) -> None:
    stand_in = bad.replace("\0", "*")  # the writers cut names at a NUL: put it in afterwards
    path = KINDS[name](raw.root / name, {stand_in: b"a", "ok.jpg": b"b"})
    if stand_in != bad:
        path.write_bytes(path.read_bytes().replace(stand_in.encode(), bad.encode()))
    with pytest.raises(DataError, match="a path that may lead out of its archive") as caught:
        raw.paths(name)
    assert repr(bad) in str(caught.value)


def test_a_path_that_leads_out_is_not_read(raw: Archives) -> None:
    folder_of(raw.root, {"t/a.jpg": b"a", "../secret.jpg": b"s"})
    for path in ("t/../../secret.jpg", "../secret.jpg", str(raw.root / "t" / "a.jpg")):
        with pytest.raises(DataError, match="may lead out of its archive"):
            raw.read(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["t.zip", "t.tar"])
@pytest.mark.parametrize("second", ["a.jpg", "./a.jpg"])
def test_two_members_of_one_name_are_refused(raw: Archives, name: str, second: str) -> None:
    pairs = [("a.jpg", b"1"), (second, b"2")]
    path = raw.root / name
    zip_of(path, pairs) if name == "t.zip" else tar_of(path, pairs)
    with pytest.raises(DataError, match="two members of this name") as caught:
        raw.paths(name)
    assert "expected: regular files, no name twice" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "x: a link"),
        (tarfile.LNKTYPE, "x: a link"),
        (tarfile.CHRTYPE, "x: a device, pipe or folder"),
        (tarfile.FIFOTYPE, "x: a device, pipe or folder"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(raw: Archives, kind: bytes, words: str) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.linkname = kind, "/etc/passwd"
    tar_of(raw.root / "t.tar", MEMBERS, [info])
    with pytest.raises(DataError, match=f"a member that can't be read safely\n  found: {words}"):
        raw.paths("t.tar")


def test_links_in_a_zip_and_in_a_folder_are_refused(raw: Archives) -> None:
    folder_of(raw.root / "t", MEMBERS)
    (raw.root / "t" / "x").symlink_to(raw.root)
    info = zipfile.ZipInfo("x")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(raw.root / "t.zip", "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    for name in ("t", "t.zip"):
        with pytest.raises(DataError, match="found: x: a link"):
            raw.paths(name)


def test_a_container_that_is_itself_a_link_is_read(raw: Archives, tmp_path: Path) -> None:
    folder_of(tmp_path / "elsewhere", {"a.jpg": b"a"})
    raw.root.mkdir()
    (raw.root / "t").symlink_to(tmp_path / "elsewhere")
    (raw.root / "b.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    assert raw.read("t/a.jpg") == raw.read("b.jpg") == b"a"


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [(8, 1, "a.jpg: encrypted"), (10, 14, "a.jpg: compressed by method 14, not stored")],
)
def test_members_that_take_more_than_inflating_are_refused(
    raw: Archives, offset: int, value: int, words: str
) -> None:
    path = zip_of(raw.root / "t.zip", {"a.jpg": b"x" * 1000})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + offset] = value
    path.write_bytes(data)
    with pytest.raises(DataError, match=words):
        raw.paths("t.zip")


def _read_all(archives: Archives, names: list[str]) -> list[bytes]:
    return [archives.read(name) for name in names]


def test_several_processes_read_at_once(raw: Archives) -> None:
    members = {f"{n}.jpg": bytes([n]) * 5000 for n in range(40)}
    zip_of(raw.root / "t.zip", members)
    names = raw.paths("t.zip")
    expected = _read_all(raw, names)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        results = list(pool.map(_read_all, [raw] * 4, [names] * 4))
    assert results == [expected] * 4
    assert sorted(expected) == sorted(members.values())


def test_threads_open_a_container_once(raw: Archives, monkeypatch: pytest.MonkeyPatch) -> None:
    zip_of(raw.root / "t.zip", MEMBERS)
    opened = []

    def open_slowly(label: str) -> object:
        opened.append(label)
        time.sleep(0.05)
        return object()

    monkeypatch.setattr(raw, "_open_container", open_slowly)
    with ThreadPoolExecutor(8) as threads:
        containers = set(threads.map(raw._container, ["t.zip"] * 8))
    assert (len(containers), opened) == (1, ["t.zip"])


def test_a_fork_reopens_its_files(raw: Archives, monkeypatch: pytest.MonkeyPatch) -> None:
    zip_of(raw.root / "t.zip", MEMBERS)
    raw.paths("t.zip")
    before = raw._container("t.zip")
    assert raw._container("t.zip") is before
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert raw._container("t.zip") is not before


def test_a_pickle_drops_what_is_open_and_its_copies_are_one(raw: Archives) -> None:
    zip_of(raw.root / "t.zip", MEMBERS)
    raw.paths("t.zip")
    first, second = (pickle.loads(pickle.dumps(raw)) for _ in range(2))
    assert first is second is not raw
    assert first._open == {}
    assert first.read("t.zip/train/b.jpg") == b"bb"
    assert list(second._open) == ["t.zip"], "opened once for both"
    assert pickle.loads(pickle.dumps(Archives(raw.root, raw.root))) is not first


@needs_realdata
def test_real_archives() -> None:
    notes = Archives(REALDATA / "banknotes", Path("unused"))
    names = notes.paths("test_data_pytorch.tar.gz")
    assert len(names) == 70
    assert names[:2] == [
        "test_data_pytorch.tar.gz/test_data_pytorch/0.jpeg",
        "test_data_pytorch.tar.gz/test_data_pytorch/1.jpeg",
    ]
    assert all(notes.read(name)[:2] == b"\xff\xd8" for name in names)
    cars = Archives(REALDATA / "carvana", Path("unused"))
    assert len(cars.paths("train.zip")) == len(cars.paths("train_masks.zip")) == 64
    assert cars.read(cars.paths("train_masks.zip")[0])[:6] == b"GIF89a"


@pytest.mark.parametrize(
    ("stored", "flag", "name"),
    [
        ("cafe\u0301.png".encode(), 0, "cafe\u0301.png"),  # as macOS writes it: no flag of UTF-8
        ("café.png".encode(), 0x800, "café.png"),
        (b"caf\x82.png", 0, "café.png"),  # code page 437
    ],
)
def test_names_of_zips_are_read_in_the_code_that_they_are_in(
    tmp_path: Path, stored: bytes, flag: int, name: str
) -> None:
    class Entry(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  (zipfile's own name)
            return stored, flag

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(Entry("a"), b"pixels")
    raw = Archives(tmp_path, tmp_path / "unpacked")
    assert raw.paths("a.zip") == [f"a.zip/{name}"]
    assert raw.read(f"a.zip/{name}") == b"pixels"


def test_masks_that_hardly_have_content_are_no_bomb(tmp_path: Path) -> None:
    """Uncompressed masks pack to less than 1/200."""
    zip_of(tmp_path / "a.zip", {"blank.bmp": bytes(300 * 2**20)})
    raw = Archives(tmp_path, tmp_path / "unpacked")
    assert raw.size("a.zip/blank.bmp") == 300 * 2**20


def test_archives_that_take_errors_are_not_copied(tmp_path: Path) -> None:
    """A copy in another process would raise what this one leaves out."""
    pickle.dumps(Archives(tmp_path, tmp_path))
    with pytest.raises(TypeError, match="what this one leaves out"):
        pickle.dumps(Archives(tmp_path, tmp_path, errors={}))

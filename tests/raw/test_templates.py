"""Templates of texts and paths: filled from columns, matched with what is there."""

import itertools
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import DataError, ParamsError
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table
from darkroom.raw.templates import Template
from tests.support.packed import folder_of, tar_of, zip_of

KEY = "data.train.image"


def table(header: tuple[str, ...], *rows: list[str]) -> Table:
    return Table("t.csv", header, list(rows), list(range(2, len(rows) + 2)))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{id}", "0ab1"),
        ("train/{id[0]}/{id}.jpg", "train/0/0ab1.jpg"),
        ("{id[0:2]}{id[-1]}_{id[2:]}", "0a1_b1"),
        ("{0}-{1}", "0ab1-7"),
        ("{id}/images/{id}*.png", "0ab1/images/0ab1*.png"),
        ("plain", "plain"),
    ],
)
def test_columns_fill_a_template(template: str, text: str) -> None:
    rows = table(("id", "a b"), ["x", "1"], ["0ab1", "7"])
    assert Template(template).fill(rows, 1) == text


@pytest.mark.parametrize(
    ("template", "text", "reading"),
    [
        ("{label}.{n}.jpg", "cat.0.jpg", {"label": "cat", "n": "0"}),
        ("{image}_{label}", "ab12.jpg_Fish", {"image": "ab12.jpg", "label": "Fish"}),
        (
            "{case}_{day}_slice_{n}",
            "case2_day0_slice_0001",
            {"case": "case2", "day": "day0", "n": "0001"},
        ),
        ("ID_{image}_{label}", "ID_0a1b_any", {"image": "0a1b", "label": "any"}),
        ("{id}/images/{id}.png", "a/images/a.png", {"id": "a"}),
        ("{id}/images/{id}.png", "a/images/b.png", None),
        ("{id}/{id}_{eye}.png", "a_b/a_b_left.png", {"id": "a_b", "eye": "left"}),  # not a, b_left
        ("{id[0]}/{id}", "a/abc", {"id": "abc"}),
        ("{id[0]}/{id}", "b/abc", None),
        ("{id[0:2]}{n}_{id}", "ab7_abc", {"id": "abc", "n": "7"}),
        ("{id[0:2]}{n}_{id}", "ab_abc", None),  # nothing is left for n
        ("{a}_{a}", "x_y_x_y", {"a": "x_y"}),
        ("{a}", "x/y", None),
        ("{a}/{b}", "x/", None),
        ("*_{a}", "x_y", {"a": "y"}),
        ("{a}_*_*_*", "_".join("abcd"), {"a": "a"}),
        ("{id}*", "ab", {"id": "a"}),
        ("plain", "plain", {}),
        ("plain", "plains", None),
        ("{a}.png", ".png", None),
        ("aa{a}aa", "aaaa", None),
    ],
)
def test_a_text_is_taken_apart(template: str, text: str, reading: dict[str, str] | None) -> None:
    assert Template(template).match(text) == reading


@pytest.mark.parametrize(
    ("template", "text", "two"),
    [
        (
            "{image}_{label}",
            "a_b_c",
            "a_b_c: {'image': 'a', 'label': 'b_c'} or {'image': 'a_b', 'label': 'c'}",
        ),
        ("{a}{b}", "xyz", "xyz: {'a': 'x', 'b': 'yz'} or {'a': 'xy', 'b': 'z'}"),
        ("*-{a}-*", "x-1-y-1-z", "{'a': '1'} or {'a': '1-y'}"),
    ],
)
def test_two_readings_are_refused_with_both(template: str, text: str, two: str) -> None:
    with pytest.raises(DataError) as caught:
        Template(template, "data.train.files").match(text)
    assert "data.train.files fits a text in two ways" in str(caught.value)
    assert two in str(caught.value)


@pytest.mark.parametrize("template", ["{a}*{b}*{c}*{a}", "*" * 40 + "{a}", "{a}x*" * 20 + "{b}"])
@pytest.mark.parametrize("text", ["x" * 3000, "x" * 3000 + "y", "xa" * 1500])
def test_no_template_and_no_name_takes_long(template: str, text: str) -> None:
    begin = time.process_time()
    with suppress(DataError):
        Template(template).match(text)
    assert time.process_time() - begin < 3


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("train/{}.png", "a field without a name"),
        ("train/{id.png", "a single brace"),
        ("{id[]}", "a field with odd brackets"),
        ("{[0]}", "a field with odd brackets"),
        ("{a}" * 51, "more than 50 fields"),
    ],
)
def test_what_is_no_template_is_refused(template: str, words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        Template(template, KEY)


@pytest.mark.parametrize("template", ["{0}.png", "{id[0]}/x.png"])
def test_a_field_that_no_text_tells_is_refused(template: str) -> None:
    with pytest.raises(ParamsError, match="names no column by itself"):
        Template(template, KEY).match("a.png")


def test_a_cell_that_does_not_fit_is_refused_with_its_row() -> None:
    rows = table(("Image_Label",), ["a.jpg_Fish"], ["b.jpg"], ["a.jpg_Fish"])
    with pytest.raises(DataError) as caught:
        Template("{image}_{label}", "data.train.cells").match_all(rows, "Image_Label")
    assert "t.csv, row 3: 1 cells that do not fit data.train.cells" in str(caught.value)
    columns = Template("{image}_{label}").match_all(rows.select([0, 2]), 0)
    assert columns == {"image": ["a.jpg", "a.jpg"], "label": ["Fish", "Fish"]}


def test_a_number_is_a_position_and_no_name_of_another_column() -> None:
    rows = table(("id", "0"), ["a", "b"])
    with pytest.raises(DataError, match="0 is two columns"):
        Template("{0}").fill(rows, 0)
    assert Template("{1}").fill(rows, 0) == "b"


def test_an_empty_cell_names_no_file_and_a_short_one_is_refused() -> None:
    rows = table(("id",), ["abc"], [""])
    assert Template("m/{id[2]}.png").fill_paths(rows) == ["m/c.png", ""]
    with pytest.raises(DataError, match=r"row 2: 1 cells are too short for \{id\[3\]\}"):
        Template("m/{id[3]}.png").fill_paths(rows)


@pytest.mark.parametrize("cell", ["../a", "/a", "a\\b", "*"])
def test_a_cell_that_leads_elsewhere_is_refused(cell: str) -> None:
    with pytest.raises(DataError, match="not a path inside the source folder"):
        Template("{id}*", KEY).fill_paths(table(("id",), [cell]))


PICTURES = {"train/cat/1.jpg": b"1", "train/dog/1.jpg": b"2"}
INSIDE = {name.removeprefix("train/"): data for name, data in PICTURES.items()}


@pytest.mark.parametrize(
    ("write", "prefix"),
    [
        (lambda folder: folder_of(folder, PICTURES), "train"),
        (
            lambda folder: folder_of(folder, {f"train/{n}": d for n, d in PICTURES.items()}),
            "train/train",
        ),
        (lambda folder: zip_of(folder / "train.zip", PICTURES), "train.zip/train"),
        (lambda folder: zip_of(folder / "train.zip", INSIDE), "train.zip"),
        (
            lambda folder: zip_of(
                folder / "train.zip", {f"train/{n}": d for n, d in PICTURES.items()}
            ),
            "train.zip/train/train",
        ),
        (lambda folder: tar_of(folder / "train.tar.gz", PICTURES), "train.tar.gz/train"),
    ],
)
def test_the_first_folder_may_be_packed(tmp_path: Path, write, prefix: str) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path)
    archives = Archives(tmp_path, tmp_path / "unpacked")
    files = Template("train/{label}/{n}.jpg", "data.train.files")
    assert files.paths(archives) == [
        (f"{prefix}/cat/1.jpg", {"label": "cat", "n": "1"}),
        (f"{prefix}/dog/1.jpg", {"label": "dog", "n": "1"}),
    ]
    image = Template("train/{label}/{n}.jpg", KEY)
    paths = image.fill_paths(table(("label", "n"), ["dog", "1"], ["", "1"], ["cow", "1"]))
    assert image.resolve(archives, paths) == [f"{prefix}/dog/1.jpg", "", ""]


def test_a_folder_and_its_archive_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, PICTURES)
    zip_of(tmp_path / "train.zip", PICTURES)
    names = ["test.zip", "train", "train.zip"]
    for call in (
        lambda: Template("train/{n}.jpg", KEY).containers(names),
        lambda: Template("train/{n}.jpg", KEY).paths(Archives(tmp_path, tmp_path / "u")),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert "train is two things here\n  found: train and train.zip" in str(caught.value)
        assert "write train.zip in data.train.image" in str(caught.value)
    assert Template("train.zip/{n}.jpg", KEY).containers(names) == ["train.zip"]


def test_a_star_stands_for_what_is_unknown(tmp_path: Path) -> None:
    names = ["case1/scans/slice_0001_56_48.png", "case1/scans/slice_0002_56_48.png"]
    folder_of(tmp_path / "train", dict.fromkeys(names, b"1"))
    archives = Archives(tmp_path, tmp_path / "u")
    rows = table(("case", "n"), ["case1", "0002"], ["case1", "0009"], ["case1", "000"])
    image = Template("train/{case}/scans/slice_{n}_*.png", KEY)
    assert image.resolve(archives, image.fill_paths(rows)) == [f"train/{names[1]}", "", ""]
    image = Template("train/{case}/scans/slice_{n}*.png", KEY)
    with pytest.raises(DataError) as caught:
        image.resolve(archives, image.fill_paths(rows))
    assert "train/case1/scans/slice_000*.png: a path that means two files" in str(caught.value)
    assert image.files(archives, image.fill_paths(rows))[2] == [f"train/{n}" for n in names]


def test_a_star_in_the_first_part_means_several_archives(tmp_path: Path) -> None:
    tar_of(tmp_path / "test-jpg.tar.gz", {"test-jpg/a.jpg": b"1"})
    zip_of(tmp_path / "test-jpg-additional.zip", {"test-jpg-additional/b.jpg": b"1"})
    archives = Archives(tmp_path, tmp_path / "u")
    names = ["test-jpg-additional.zip", "test-jpg.tar.gz", "train.zip"]
    for text in ("test-jpg*/{n}.jpg", "test-j*/{n}.jpg"):
        image = Template(text, KEY)
        assert image.containers(names) == names[:2]
        paths = image.fill_paths(table(("n",), ["a"], ["b"]))
        assert image.resolve(archives, paths) == [
            "test-jpg.tar.gz/test-jpg/a.jpg",
            "test-jpg-additional.zip/test-jpg-additional/b.jpg",
        ]
        assert [name for name, _ in image.paths(archives)] == sorted(image.resolve(archives, paths))


@pytest.mark.parametrize("template", ["*/{id}.png", "**/{id}.png", "*n/{id}.png"])
def test_a_star_in_the_first_part_means_no_table(tmp_path: Path, template: str) -> None:
    folder_of(tmp_path / "train", {"1.png": b"1"})
    zip_of(tmp_path / "own.zip", {"2.png": b"2"})
    for name in ("manifest.json", "train.csv", "own"):
        (tmp_path / name).write_bytes(b"id\n1\n")
    archives = Archives(tmp_path, tmp_path)
    rows = table(("id",), ["1"], ["2"], ["3"])
    paths = Template(template, KEY)
    expected = ["train/1.png", "own.zip/2.png", ""]
    assert paths.resolve(archives, paths.fill_paths(rows)) == expected


def test_an_archive_in_a_folder_is_read_by_its_name(tmp_path: Path) -> None:
    zip_of(tmp_path / "data/train.zip", PICTURES)
    archives = Archives(tmp_path, tmp_path / "u")
    files = Template("data/train.zip/train/{label}/{n}.jpg", KEY)
    assert [path for path, _ in files.paths(archives)] == [f"data/train.zip/{p}" for p in PICTURES]
    image = Template("data/train.zip/train/{0}/*.jpg", KEY)
    paths = image.fill_paths(table(("label",), ["dog"], ["cow"]))
    assert image.resolve(archives, paths) == ["data/train.zip/train/dog/1.jpg", ""]
    assert files.containers(["data", "train.csv"]) == ["data"]


def test_cells_may_name_the_folders(tmp_path: Path) -> None:
    folder_of(tmp_path, PICTURES)
    archives = Archives(tmp_path, tmp_path / "u")
    image = Template("{0}", KEY)
    assert image.containers(["train", "x.csv"]) is None
    rows = table(("file",), ["train/dog/1.jpg"], ["test/dog/1.jpg"], ["1.jpg"])
    assert image.resolve(archives, image.fill_paths(rows)) == ["train/dog/1.jpg", "", ""]
    rows = table(("file",), ["test/1.jpg"])
    fixed = Template("test/{file}", KEY)
    with pytest.raises(DataError, match="test is missing"):
        fixed.resolve(archives, fixed.fill_paths(table(("file",), ["1.jpg"])))


@pytest.mark.parametrize("there", ["train", "train.tgz"])
def test_an_archive_that_was_unpacked_or_packed_otherwise_is_told(there: str) -> None:
    with pytest.raises(DataError) as caught:
        Template("train.zip/{id}.jpg", KEY).containers([there, "test.zip"])
    assert f"train.zip is missing\n  found: {there}, " in str(caught.value)
    assert "to do: write train/ for train.zip/ in data.train.image" in str(caught.value)


def test_no_file_that_fits_is_refused_with_some_that_are_there(tmp_path: Path) -> None:
    folder_of(tmp_path, PICTURES)
    with pytest.raises(DataError) as caught:
        Template("train/{label}.jpg", "data.train.files").paths(Archives(tmp_path, tmp_path / "u"))
    assert "no file is like data.train.files" in str(caught.value)
    assert "found: train/cat/1.jpg, train/dog/1.jpg\n  expected: train/{label}.jpg" in str(
        caught.value
    )


def test_no_field_and_no_star_is_the_folder_inside_of_the_archive(tmp_path: Path) -> None:
    zip_of(tmp_path / "train.zip", {"train/stray.jpg": b"1", "train/cat/1.jpg": b"2"})
    archives = Archives(tmp_path, tmp_path / "u")
    files = Template("train/{label}/{n}.jpg", KEY)
    assert files.paths(archives) == [("train.zip/train/cat/1.jpg", {"label": "cat", "n": "1"})]
    star = Template("train/*/{n}.jpg", KEY)
    assert star.resolve(archives, ["train/*/stray.jpg", "train/*/1.jpg"]) == [
        "",
        "train.zip/train/cat/1.jpg",
    ]
    inner = Template("train/train/{label}/{n}.jpg", KEY)
    assert len(inner.paths(archives)) == 1


def test_files_of_other_suffixes_are_told(tmp_path: Path) -> None:
    names = ["cat/1.jpg", "cat/2.JPG", "dog/3.jpeg", "dog/note", "x.txt"]
    zip_of(tmp_path / "train.zip", {f"train/{name}": b"1" for name in names})
    archives = Archives(tmp_path, tmp_path / "u")
    files = Template("train/{label}/{n}.jpg", KEY)
    assert [path for path, _ in files.paths(archives)] == ["train.zip/train/cat/1.jpg"]
    others = ["train.zip/train/cat/2.JPG", "train.zip/train/dog/3.jpeg"]
    assert files.other_suffixes(archives) == others
    assert Template("train/{label}/{n}", KEY).other_suffixes(archives) == []


def test_a_file_of_two_readings_is_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, {"train/a_b_c.jpg": b"1"})
    with pytest.raises(DataError, match="fits a text in two ways"):
        Template("train/{a}_{b}.jpg", KEY).paths(Archives(tmp_path, tmp_path / "u"))


def test_two_files_of_one_path_are_refused(tmp_path: Path) -> None:
    zip_of(tmp_path / "train.zip", {"train/a.jpg": b"1", "a.jpg": b"2", "b.jpg": b"3"})
    archives = Archives(tmp_path, tmp_path / "u")
    image = Template("train/{n}.jpg", KEY)
    with pytest.raises(DataError, match="a path that means two files"):
        image.paths(archives)
    with pytest.raises(DataError, match="a path that means two files"):
        image.resolve(archives, ["train/a.jpg"])
    assert image.resolve(archives, ["train/b.jpg"]) == ["train.zip/b.jpg"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_that_look_alike_are_one(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    zip_of(tmp_path / "train.zip", {normalize(form, "é.jpg"): b"1"})
    archives = Archives(tmp_path, tmp_path / "u")
    image = Template("train/{n}.jpg", KEY)
    for cell in ("NFC", "NFD"):
        (path,) = image.resolve(archives, [normalize(cell, "train/é.jpg")])
        assert archives.read(path) == b"1"
    assert len(image.paths(archives)) == 1


@pytest.mark.parametrize(
    ("template", "fault", "fix"),
    [
        ("/data/train/{a}.png", "an absolute path", "write it relative to data.source; if the"),
        ("../train/{a}.png", "a path with ..", "if the files lie elsewhere, change data.source"),
        ("./train/{a}.png", "a path with ./", "write train/{a}.png"),
        ("train//{a}.png", "a path with ./ or //", "write train/{a}.png"),
        ("train\\{a}.png", "a path with a backslash", "write train/{a}.png"),
        ("C:/train/{a}.png", "a path with a drive letter", "write it relative to data.source"),
    ],
)
def test_a_template_that_leads_elsewhere_is_refused(template: str, fault: str, fix: str) -> None:
    with pytest.raises(ParamsError) as caught:
        Template(template, KEY).containers(["train"])
    assert f"{KEY} must be a path inside data.source\n  found: {fault}" in str(caught.value)
    assert fix in str(caught.value)


def _readings(template: str, text: str) -> int:
    """Count the values of the fields that a text may have, by trying them all."""
    fields = dict.fromkeys(re.findall(r"{(\w)}", template))
    parts = {text[a:b] for a in range(len(text)) for b in range(a + 1, len(text) + 1)}
    parts = {part for part in parts if "/" not in part}
    count = 0
    for values in itertools.product(sorted(parts), repeat=len(fields)):
        filled = template.replace("*", "[^/]+")
        for name, value in zip(fields, values, strict=True):
            filled = filled.replace("{" + name + "}", value)
        count += bool(re.fullmatch(filled, text))
    return count


@given(
    template=st.lists(st.sampled_from(["{a}", "{b}", "x", "y", "/", "*"]), min_size=1, max_size=5),
    text=st.text("xy/", min_size=1, max_size=6),
)
def test_readings_are_those_of_all_values_tried(template: list[str], text: str) -> None:
    pattern = "".join(template)
    count = _readings(pattern, text)
    if count > 1:
        with pytest.raises(DataError, match="in two ways"):
            Template(pattern).match(text)
    else:
        assert (Template(pattern).match(text) is not None) == (count == 1)

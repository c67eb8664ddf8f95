"""New pictures by `darkroom predict --images`: what is found, predicted, written and left out."""

import csv
import errno
import gzip
import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import darkroom
from darkroom.cli.main import main
from darkroom.deploy.outputs import AnswerTable, MaskFolder
from darkroom.deploy.pictures import find_pictures
from darkroom.deploy.predictor import Predictor
from darkroom.errors import DataError, ResourceError
from darkroom.prediction.decision import Decision, read_decision, write_decision
from tests.deploy.conftest import Trained, pictures_of
from tests.support import tiny

Pictures = dict[str, np.ndarray[Any, np.dtype[np.uint8]]]


def unpacked(root: Path) -> tuple[Path, Pictures]:
    """Return a folder of new pictures, of two depths, and the pictures by name, sorted."""
    pictures = pictures_of(root)
    folder = root / "new"
    names = {f"{'deep/er/' if n % 2 else ''}{name}.png": name for n, name in enumerate(pictures)}
    for path, name in names.items():
        tiny.put(folder / path, tiny.png(pictures[name]))
    return folder, {path: pictures[names[path]] for path in sorted(names)}


def predict(*arguments: str) -> int:
    return main(["predict", "tiny", *arguments])


def rows(file: Path) -> list[list[str]]:
    data = file.read_bytes()
    text = gzip.decompress(data) if file.suffix == ".gz" else data
    return [*csv.reader(io.StringIO(text.decode(), newline=""))]


def opened(file: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(file) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("multiclass", ["image", "label", "10", "a, b", "pear"]),
        ("multilabel", ["image", "labels", "green", "warm"]),
        ("binary", ["image", "label", "green"]),
        ("regression", ["image", "depth", "height"]),
    ],
)
def test_a_table_of_answers_and_probabilities(
    trained: Trained, kind: str, header: list[str]
) -> None:
    root = trained(kind)
    _, pictures = unpacked(root)
    predictor = darkroom.load("models/tiny")
    expected = np.asarray(predictor([*pictures.values()]))
    for out in ("a.csv", "b.csv.gz", "c.parquet"):
        assert predict("--images", "new", "--out", out) == 0
    first, *written = rows(root / "a.csv")
    assert first == header
    assert [row[0] for row in written] == [*pictures]
    values = np.array([row[-expected.shape[1] :] for row in written], np.float32)
    np.testing.assert_array_equal(values, expected)
    assert rows(root / "b.csv.gz") == [first, *written]
    table = pyarrow.parquet.read_table(root / "c.parquet")
    assert table.column_names == header
    np.testing.assert_array_equal(
        np.stack([table[n] for n in header[-values.shape[1] :]], 1), values
    )
    if kind == "regression":
        return
    assert table[header[1]].to_pylist() == [row[1] for row in written]
    answers = predictor.decision.answers(kind, expected)
    for row, answer in zip(written, answers, strict=True):
        if kind == "multiclass":
            assert row[1] == header[2:][answer]
        elif kind == "multilabel":
            assert row[1].split("|") == [
                n for n, a in zip(header[2:], answer, strict=True) if a
            ] or [""]
        else:
            assert row[1] == ("no", "yes")[answer[0]]


def test_grades_and_thresholds_of_the_decision_count(trained: Trained) -> None:
    root = trained("multilabel")
    folder, _ = unpacked(root)
    file = root / "reports/tiny/decision.json"
    networks = read_decision(file, "tiny", "multilabel").networks
    write_decision(file, Decision(threshold=(1 / 256, 255 / 256), networks=networks))
    assert predict("--images", str(folder), "--out", "a.csv") == 0
    assert {row[1] for row in rows(root / "a.csv")[1:]} == {"green"}
    write_decision(file, Decision(threshold=1 / 256, networks=networks))
    assert predict("--images", str(folder), "--out", "a.csv", "--fold", "1") == 0
    assert {row[1] for row in rows(root / "a.csv")[1:]} == {"green|warm"}


def test_masks_are_pngs_at_each_size_and_overlays(trained: Trained) -> None:
    root = trained("masks")
    _, pictures = unpacked(root)
    predictor = darkroom.load("models/tiny")
    assert predict("--images", "new", "--out", "masks", "--overlay") == 0
    files = {p.relative_to(root / "masks").as_posix() for p in (root / "masks").rglob("*.*")}
    stems = [name.removesuffix(".png") for name in pictures]
    assert files == {f"{s}.png" for s in stems} | {f"{s}_overlay.jpg" for s in stems}
    for (name, picture), planes in zip(
        pictures.items(), predictor([*pictures.values()]), strict=True
    ):
        mask = opened(root / "masks" / name)
        np.testing.assert_array_equal(mask, predictor.masks(planes)[0] * np.uint8(255), strict=True)
        overlay = opened(root / "masks" / f"{name.removesuffix('.png')}_overlay.jpg")
        assert overlay.shape == picture.shape
    assert any(opened(root / "masks" / name).any() for name in pictures)


def test_pictures_of_one_name_but_for_the_suffix_keep_it(trained: Trained) -> None:
    root = trained("masks")
    picture = tiny.disc(3)[0]
    for name in ("a.png", "a.bmp", "b.png"):
        tiny.put(root / "new" / name, tiny.png(picture, name[-3:].upper()))
    assert predict("--images", "new", "--out", "masks") == 0
    names = sorted(path.name for path in (root / "masks").iterdir())
    assert names == ["a.bmp.png", "a.png.png", "b.png"]


@pytest.fixture
def classes_of(trained: Trained) -> Callable[..., Predictor]:
    """Return a function that makes a predictor of three mask classes, exclusive or not."""
    trained("masks")
    plain = darkroom.load("models/tiny/fold0")

    def predictor_of(outputs: int, *, exclusive: bool) -> Predictor:
        names = ["sea", "a/b", "sand"][:outputs]
        info = {**plain.infos[0], "targets": names, "exclusive": exclusive}
        info["model"] = {**info["model"], "outputs": outputs}
        return Predictor(plain.networks, (info,), plain.preparation, plain.choice, Decision())

    return predictor_of


def test_exclusive_classes_are_values_and_others_files(
    classes_of: Callable[..., Predictor], tmp_path: Path
) -> None:
    masks = np.zeros((3, 2, 3), np.bool_)
    masks[0, 0, 0] = masks[1, 0, 1] = masks[2, 1, 2] = True
    for outputs, values in ((4, [[1, 2, 0], [0, 0, 3]]), (3, [[0, 1, 0], [0, 0, 2]])):
        out = tmp_path / f"{outputs}"
        with MaskFolder(out, classes_of(outputs, exclusive=True), ["x/a.jpg"]) as folder:
            folder.write("x/a.jpg", masks)
        assert opened(out / "x/a.png").tolist() == values
    with MaskFolder(tmp_path / "o", classes_of(3, exclusive=False), ["/y/../a.jpg"]) as folder:
        folder.write("/y/../a.jpg", masks)
    named = {path.name: path for path in (tmp_path / "o/y").iterdir()}
    assert sorted(named) == ["a_a_b.png", "a_sand.png", "a_sea.png"]
    assert opened(named["a_sand.png"]).tolist() == [[0, 0, 0], [0, 0, 255]]


def test_each_picture_has_masks_of_its_own(
    classes_of: Callable[..., Predictor], tmp_path: Path
) -> None:
    """Below the folder of results, wherever the pictures lie."""
    names = ["../a.png", "a.png", "a.jpg", "//elsewhere/b.png", "//", "c.jpg", "c.png/d.jpg"]
    names += [f"{250 * 'l'}.jpg", f"{249 * 'l'}.jpg"]
    masks = np.ones((1, 2, 3), np.bool_)
    out = tmp_path / "out"
    with MaskFolder(out, classes_of(1, exclusive=False), names) as folder:
        for name in names:
            folder.write(name, masks)
    paths = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png") if p.is_file())
    expected = ["a.jpg.png", "a.png.png", "a.png_2.png", "c.jpg.png", "c.png/d.png"]
    expected += ["elsewhere/b.png", f"{233 * 'l'}.png", f"{233 * 'l'}_2.png", "picture.png"]
    assert paths == expected


def test_a_table_names_pictures_anywhere(trained: Trained, tmp_path: Path) -> None:
    root = trained("binary")
    folder, pictures = unpacked(root)
    elsewhere = tmp_path / "elsewhere/z.png"
    names = [*pictures]
    tiny.put(elsewhere, tiny.png(pictures[names[2]]))
    cells = [names[1], str(elsewhere), f"../new/{names[0]}", names[1]]
    long = "no path: " + 999 * "a"
    lines = "".join(f"{n},{long},{cell}\n" for n, cell in enumerate(["gone.png", *cells]))
    tiny.put(folder / "list.csv", f"number,note,path\n{lines}")
    assert predict("--images", "new/list.csv", "--out", "a.csv") == 3  # one is not there
    written = rows(root / "a.csv")
    assert [row[0] for row in written[1:]] == cells
    order = [pictures[names[n]] for n in (1, 2, 0, 1)]
    values = np.array([row[2:] for row in written[1:]], np.float32)
    np.testing.assert_array_equal(values, np.asarray(darkroom.load("models/tiny")(order)))


def test_a_table_names_members_of_an_archive(trained: Trained) -> None:
    root = trained("binary")
    tiny.put(root / "source/list.tsv", "name\nt2.png\n")
    tiny.put(root / "source/other.tsv", "name\tfile\nt2\ttest.zip/t2.png\n")
    assert predict("--images", "source/other.tsv", "--out", "a.csv") == 0
    assert [row[0] for row in rows(root / "a.csv")[1:]] == ["test.zip/t2.png"]
    assert predict("--images", "source/list.tsv", "--out", "b.csv") == 3


def test_an_archive_and_one_picture(trained: Trained) -> None:
    root = trained("binary")
    _, pictures = unpacked(root)
    assert predict("--images", "source/test.zip", "--out", "a.csv") == 0
    assert [row[0] for row in rows(root / "a.csv")[1:]] == [f"t{n}.png" for n in range(5)]
    assert predict("--images", "new/t4.png", "--out", "b.csv") == 0
    assert rows(root / "b.csv")[1:] == rows(root / "a.csv")[5:]
    assert len(pictures) == 5


def test_unreadable_pictures_are_named_and_left_out(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained("binary")
    folder, pictures = unpacked(root)
    tiny.put(folder / "b.jpg", b"no picture")
    tiny.put(folder / "notes.txt", "not looked at")
    tiny.put(folder / ".DS_Store", "")
    assert predict("--images", "new", "--out", "a.csv") == 3
    message = capsys.readouterr().err
    assert "tiny: 6 pictures, 2 networks on cpu" in message
    assert "tiny: files that are no pictures, and are left out: 1, such as notes.txt" in message
    assert "1 of 6 pictures cannot be read, and are left out of a.csv" in message
    assert "\ntiny: " in message
    assert "new/b.jpg: not an image, or its header is broken" in message
    assert [row[0] for row in rows(root / "a.csv")[1:]] == [*pictures]
    for name in pictures:
        (folder / name).unlink()
    assert predict("--images", "new", "--out", "b.csv") == 3
    assert "none of the pictures can be read" in capsys.readouterr().err
    (folder / "b.jpg").unlink()
    assert predict("--images", "new", "--out", "b.csv") == 3
    assert "there are no pictures here" in capsys.readouterr().err
    assert not (root / "b.csv").exists()


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("binary", "--images new --out a.txt", "expected: a name that ends in .csv, .csv.gz, .pa"),
        ("binary", "--images new --out a.csv --overlay", "--overlay draws masks on new pictures"),
        (
            "binary",
            "--images source/test.csv --out source/test.csv",
            "would replace what it is made",
        ),
        ("binary", "--images source --out source/test.csv", "would replace what it is made"),
        ("binary", "--images source --out data/raw/tiny/a.csv", "what stages write stands in data"),
        ("binary", "--images source --out link/tiny.csv", "what stages write stands in data"),
        ("binary", "--images source --out away/x.csv", "what stages write stands in reports"),
        ("binary", "--images new --out reports/x.csv", "what stages write stands in reports"),
        ("binary", "--images new --out new/../models/tiny/x.csv", "write stands in models"),
        ("binary", "--raw source --out submissions/tiny.csv.gz", "submission that a stage wrote"),
        ("binary", "--raw source --out submissions/history.csv", "the history of submissions"),
        ("binary", "--raw source --out new.csv", "a folder has this name"),
        ("masks", "--images source --out nowhere", "found: a link that leads nowhere"),
        ("binary", "--images source --out b.csv", "something already where results stand until"),
        ("binary", "--images source --out a", "to do: write --out a.csv, say"),
        ("masks", "--images source --out b", "something already where results stand until"),
        ("masks", "--images new --out a.csv", "masks are written into a folder"),
        ("masks", "--images new --out source", "there is something already"),
        ("masks", "--images new --out params.yaml", "there is something already"),
    ],
)
def test_what_cannot_be_written_is_refused_first(
    trained: Trained, capsys: pytest.CaptureFixture[str], kind: str, arguments: str, words: str
) -> None:
    root = trained(kind)
    (root / "link").symlink_to(root / "data/index")
    (root / "nowhere").symlink_to(root / "absent/folder")
    (root / "new").mkdir()
    (root / "new.csv").mkdir()
    (root / "reports").rename(root / "away")
    (root / "reports").symlink_to(root / "away")
    (root / "models/tiny").rename(root / "models_of_tiny")
    (root / "models/tiny").symlink_to(root / "models_of_tiny")
    tiny.put(root / ".b.csv.part/a.txt", "of the user's")
    tiny.put(root / ".b.part/a.txt", "of the user's")
    before = tiny.tree(root)
    assert predict(*arguments.split()) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "to do: " in message or "expected: " in message
    assert tiny.tree(root) == before


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("/proc/a.csv", "to do: name a file or folder on a disk"),
        (f"{252 * 'a'}.csv", "to do: choose a shorter name"),
        ("params.yaml/a.csv", "to do: a file stands where a folder is needed"),
    ],
)
def test_where_no_file_can_be_made_is_said_before_a_model_is_loaded(
    trained: Trained,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    words: str,
) -> None:
    trained("binary")
    monkeypatch.setattr("darkroom.cli.predict.load_predictor", None)
    assert predict("--images", "source/test.zip", "--out", out) == 5
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["binary", "masks"])
def test_a_signal_leaves_nothing_behind(
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    number: signal.Signals,
) -> None:
    root = trained(kind)
    before, part = tiny.tree(root), root / {"binary": ".a.csv.part", "masks": ".a.part"}[kind]
    parts: list[bool] = []

    def prepare(*_: object) -> None:
        parts.append(any((part / "result").iterdir()))
        os.kill(os.getpid(), number)

    monkeypatch.setattr("darkroom.deploy.pictures.map_ahead", prepare)
    out = {"binary": "a.csv", "masks": "a"}[kind]
    with pytest.raises(SystemExit) as caught:
        predict("--images", "source/test.zip", "--out", out)
    assert (caught.value.code, parts) == (128 + number, [True])
    assert tiny.tree(root) == before
    assert not part.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--images new", "the following arguments are required: --out"),
        ("--out a.csv", "the following arguments are required: --images or --raw"),
        ("--images new --raw source --out a.csv", "not allowed with argument"),
        ("--part test --images source --out a.csv", "not allowed with argument"),
        ("--raw source --out a.csv --overlay", "--overlay goes with --images"),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    with pytest.raises(SystemExit):
        predict(*arguments.split())
    assert words in capsys.readouterr().err


def test_what_cannot_be_read_safely_in_a_folder_is_named_and_left_out(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained("binary")
    folder, pictures = unpacked(root)
    (folder / "day").symlink_to(root / "source")
    os.mkfifo(folder / "pipe.png")
    for name in (b"line\nbreak.png", b"latin-\xe9.png"):
        shutil.copy(folder / "t4.png", folder / os.fsdecode(name))
    assert predict("--images", "new", "--out", "a.csv") == 3
    message = capsys.readouterr().err
    assert "9 pictures, 2 networks on cpu" in message
    assert "found: day: a link" in message
    assert "found: pipe.png: a device, pipe or folder" in message
    assert r"found: a path with a control character: 'line\nbreak.png'" in message
    assert r"found: a path that is not UTF-8: 'latin-\udce9.png'" in message
    assert "4 of 9 pictures cannot be read, and are left out of a.csv" in message
    assert "pack it again" not in message
    assert message.count("to do: move it out of the folder, or put a regular file with") == 4
    assert [row[0] for row in rows(root / "a.csv")[1:]] == [*pictures]
    assert predict("--images", "new/t4.png", "--out", "b.csv") == 0  # beside them


def test_a_folder_may_be_named_by_dots_but_not_anything(trained: Trained) -> None:
    root = trained("binary")
    folder, pictures = unpacked(root)
    assert predict("--images", "new/deep/..", "--out", "new/a.csv") == 0
    assert [row[0] for row in rows(root / "new/a.csv")[1:]] == [*pictures]
    tiny.put(folder / ".other.csv.part/result/c.png", "of another run")
    assert predict("--images", "new", "--out", "new/b.csv") == 0
    assert rows(root / "new/b.csv") == rows(root / "new/a.csv")
    folder.rename(root / os.fsdecode(b"latin-\xe9"))
    with pytest.raises(DataError, match="a path that is not UTF-8\n  to do: rename it"):
        find_pictures(root / os.fsdecode(b"latin-\xe9"), root / "scratch")


def test_rows_of_a_table_that_lead_nowhere_are_named(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained("binary")
    folder, pictures = unpacked(root)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    long, thumbnail = f"/{300 * 'x'}/a.png", "/9j/" + 4500 * "A"
    cells = ["/no_such_folder/a.png", "../../nothing/b.png", long, f"/tmp/{300 * 'y'}.png"]
    cells += ["gone/c.png", f"{tmp_path}/loop/d.png"]
    lines = [f"{thumbnail},{cell}" for cell in [*cells, *pictures]]
    tiny.put(folder / "list.csv", "\n".join(["thumbnail,path", *lines]) + "\n")
    assert predict("--images", "new/list.csv", "--out", "a.csv") == 3
    assert [row[0] for row in rows(root / "a.csv")[1:]] == [*pictures]
    named = [line for line in capsys.readouterr().err.splitlines() if "no such file" in line]
    assert len(named) == len(cells)
    for cell, line in zip(cells, named, strict=True):
        assert cell.rpartition("/")[2] in line
        assert "expected: " in line
    assert "tiny: /no_such_folder/a.png: no such file; expected: a path, absolute" in named[0]


def test_what_may_not_be_read_is_named_and_left_out(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = trained("binary")
    folder, pictures = unpacked(root)
    (folder / "closed").mkdir()
    first, *others = pictures
    names = {str(folder / first), str(folder / "closed")}  # modes close nothing to root

    def closed(function: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any = ".", *args: Any) -> Any:
            if str(path) in names:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return function(path, *args)

        return opened

    monkeypatch.setattr(os, "scandir", closed(os.scandir))
    monkeypatch.setattr(Path, "read_bytes", closed(Path.read_bytes))
    assert predict("--images", "new", "--out", "a.csv") == 3
    message = capsys.readouterr().err
    assert f"tiny: {first}: it may not be read; to do: change its permissions\n" in message
    assert "found: closed: a device, pipe or folder" in message
    assert "2 of 6 pictures cannot be read" in message
    assert [row[0] for row in rows(root / "a.csv")[1:]] == others
    with pytest.raises(ResourceError, match="may not be read\n  found: Permission denied"):
        darkroom.load("models/tiny")([folder / first])


@pytest.mark.parametrize("option", ["--images", "--raw"])
def test_what_is_not_there_or_may_not_be_read_is_said(
    trained: Trained,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
) -> None:
    root = trained("binary")
    os.mkfifo(root / "pipe")
    stat = Path.stat

    def closed(path: Path, **words: Any) -> os.stat_result:
        if path.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **words)

    monkeypatch.setattr(Path, "stat", closed)
    for name, words in {
        "absent": "absent: it is not there\n  to do: correct the path",
        f"{300 * 'x'}": "x: it is not there",
        "pipe": "pipe: a pipe or a device",
        "closed": "closed: it may not be read\n  to do: change its permissions",
    }.items():
        assert predict(option, name, "--out", "a.csv") == 3
        assert words in capsys.readouterr().err


def test_a_list_that_is_none_is_named_and_left_out(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    root = trained("masks")
    folder, pictures = unpacked(root)
    lines = ["path", *('"[""t.png"""', "pixels:a#1", r"a\b.png", *pictures)]
    tiny.put(folder / "list.csv", "\n".join(lines) + "\n")
    assert predict("--images", "new/list.csv", "--out", "masks") == 3
    message = capsys.readouterr().err
    assert 'not a list of paths; found: ["t.png"' in message
    assert "3 of 8 pictures cannot be read" in message
    assert "to do: correct the path: relative, with slashes" in message
    written = {p.relative_to(root / "masks").as_posix() for p in (root / "masks").rglob("*.png")}
    assert written == {*pictures}


@pytest.mark.parametrize(("name", "words"), [("new", "0 other files"), ("t.csv", "no rows")])
def test_advice_where_there_are_no_pictures(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "new").mkdir()
    tiny.put(tmp_path / "t.csv", "path\n")
    with pytest.raises(DataError, match=words) as caught:
        find_pictures(tmp_path / name, tmp_path / "scratch")
    assert "to do: put pictures there" in str(caught.value) or "list their paths" in str(
        caught.value
    )
    assert "sample submission" not in str(caught.value)


def test_a_table_names_members_of_archives_and_planes_by_absolute_paths(
    trained: Trained, tmp_path: Path
) -> None:
    root = trained("binary")
    member = str(root / "source/test.zip/t2.png")
    tiny.put(tmp_path / "lists/list.csv", f"file\n{member}\n../copy/source/test.zip/t3.png\n")
    assert predict("--images", str(tmp_path / "lists/list.csv"), "--out", "a.csv") == 0
    assert predict("--images", "source/test.zip", "--out", "b.csv") == 0
    assert [row[1:] for row in rows(root / "a.csv")[1:]] == [
        row[1:] for row in rows(root / "b.csv")[3:5]
    ]
    planes = [str(tmp_path / "red/a.png"), str(tmp_path / "blue/a.png")]
    for plane in planes:
        tiny.put(Path(plane), tiny.png(tiny.disc(3)[0]))
    tiny.put(tmp_path / "lists/planes.tsv", f"file\n{json.dumps(planes)}\n")
    (picture,) = find_pictures(tmp_path / "lists/planes.tsv", tmp_path / "scratch").pictures
    assert picture.archives.root == tmp_path
    assert json.loads(picture.image) == ["red/a.png", "blue/a.png"]


def test_a_table_without_paths_says_what_it_holds(tmp_path: Path) -> None:
    tiny.put(tmp_path / "list.csv", "a,b\nx.png,7\n")
    with pytest.raises(DataError) as caught:
        find_pictures(tmp_path / "list.csv", tmp_path / "scratch")
    assert "no column of this table holds paths of pictures" in str(caught.value)
    assert "found: a: 'x.png', b: '7'" in str(caught.value)


def test_a_class_may_be_called_like_a_column(trained: Trained, tmp_path: Path) -> None:
    trained("multiclass")
    plain = darkroom.load("models/tiny/fold0")
    info = {**plain.infos[0], "classes": ["image", "label", "pear"]}
    renamed = Predictor(plain.networks, (info,), plain.preparation, plain.choice, plain.decision)
    with AnswerTable(tmp_path / "a.csv", renamed) as table:
        table.write(["x\ny.png"], np.array([[0.25, 0.5, 0.125]], np.float32))
    header, row = rows(tmp_path / "a.csv")
    assert header == ["image", "label", "image_", "label_", "pear"]
    assert row == ["x\ny.png", "label", "0.25", "0.5", "0.125"]

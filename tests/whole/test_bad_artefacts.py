"""Results of earlier stages that are absent, damaged or would be refused; and a full disk."""

import errno
import gzip
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from darkroom.cli.main import main
from darkroom.training.module import TrainModule
from tests.support import tiny
from tests.support.damage import HTML, Damage, Project, cut, flip, put, refused, remove, replace

MISSING = [
    ("index", "data/raw/tiny", "fetch"),
    ("split", "data/index/tiny.csv", "index"),
    ("preprocess", "data/index/tiny.json", "index"),
    ("preprocess", "data/raw/tiny", "fetch"),
    ("audit", "data/processed/tiny", "preprocess"),
    ("audit", "data/processed/tiny/facts.arrow", "preprocess"),
    ("audit", "data/start/tiny/split.csv", "split"),
    ("train", "data/start/tiny/split.csv", "split"),
    ("train", "data/start/tiny/split.json", "split"),
    ("train", "data/processed/tiny", "preprocess"),
    ("train", "data/processed/tiny/train-00000.arrow", "preprocess"),
    ("predict", "models/tiny/fold0/model.safetensors", "train"),
    ("evaluate", "data/predictions/tiny/valid/fold0.arrow", "predict"),
    ("evaluate", "data/raw/tiny", "fetch"),
    ("evaluate", "data/start/tiny/split.csv", "split"),
    ("predict", "data/processed/tiny", "preprocess"),
    ("predict", "models/tiny", "dvc repro train@tiny-0`"),
    ("predict", "data/start/tiny/split.csv", "split"),
    ("submission", "data/predictions/tiny/test/fold0.arrow", "predict"),
    ("submission", "reports/tiny/decision.json", "evaluate"),
    ("check", "submissions/tiny.csv.gz", "submission"),
    ("check", "data/index/tiny.csv", "index"),
]


@pytest.mark.parametrize(("verb", "name", "stage"), MISSING)
def test_an_earlier_stage_that_has_not_run(
    project: Project, capfd: pytest.CaptureFixture[str], verb: str, name: str, stage: str
) -> None:
    root = project("masks")
    remove(name)(root)
    code, words = refused(root, verb, capfd, ["tiny"])
    assert f"darkroom {verb} tiny: {Path(name).parent}" in words
    assert "to do: " in words
    assert stage in words.split("to do: ")[1]
    assert code == 6


DAMAGED = [
    ("split", replace("data/index/tiny.csv", "000", "999"), "is not the one that its card"),
    ("split", put("data/index/tiny.json", "{}"), "no checksum"),
    ("train", cut("data/processed/tiny/train-00000.arrow"), "train-00000.arrow: it is damaged"),
    ("train", put("data/processed/tiny/train-00000.arrow", HTML), "it is damaged, or not the"),
    ("train", put("data/start/tiny/split.csv", b"\xff\xfe\0"), "split.csv: it is damaged"),
    ("train", put("data/start/tiny/split.csv", ""), "split.csv: it is damaged"),
    ("train", replace("data/start/tiny/split.csv", "fold", "part"), "split.csv: it is damaged"),
    ("train", replace("data/start/tiny/split.csv", "id", "name"), "split.csv: it is damaged"),
    ("train", replace("data/start/tiny/split.csv", "001", "000"), "or was edited"),
    ("evaluate", replace("data/start/tiny/split.csv", "001", "777"), "or was edited"),
    ("evaluate", replace("data/start/tiny/split.csv", ",0", ",1"), "or was edited"),
    ("audit", replace("data/start/tiny/split.csv", ",0", ",x"), "split.csv: it is damaged"),
    ("audit", put("data/processed/tiny/facts.arrow", "\0"), "facts.arrow: it is damaged"),
    ("audit", cut("data/processed/tiny/facts.arrow"), "facts.arrow: it is damaged"),
    ("audit", flip("data/processed/tiny/facts.arrow"), "facts.arrow: it is damaged"),
    ("predict", flip("models/tiny/fold0/model.safetensors"), "these weights are not"),
    ("evaluate", flip("data/predictions/tiny/valid/fold0.arrow"), "fold0.arrow: it is damaged"),
    ("evaluate", cut("data/predictions/tiny/valid/fold0.arrow"), "fold0.arrow: it is damaged"),
    ("submission", put("data/predictions/tiny/test/fold0.arrow", HTML), "or no file of predict"),
    ("predict", cut("models/tiny/fold0/model.safetensors"), "model.safetensors: "),
    (
        "predict",
        put("models/tiny/fold0/model.json", "{"),
        "model.json: it is damaged: ",
    ),
    (
        "predict",
        replace("models/tiny/fold0/model.json", '"mean"', '"men"'),
        "or was edited",
    ),
    (
        "predict",
        replace("models/tiny/fold0/model.json", '"unet"', '"vnet"'),
        "or was edited",
    ),
    ("predict", cut("data/processed/tiny/train-00000.arrow"), "train-00000.arrow: it is damaged"),
    (
        "submission",
        put("reports/tiny/decision.json", "{"),
        "decision.json: it is damaged",
    ),
    (
        "submission",
        put("reports/tiny/decision.json", "{}"),
        "decision.json: it was written by an earlier version",
    ),
    (
        "submission",
        put("reports/tiny/decision.json", "[0.5]"),
        "decision.json: it is damaged",
    ),
    (
        "submission",
        put("reports/tiny/decision.json", '{"threshold": NaN}'),
        "decision.json: it is damaged",
    ),
    ("split", replace("data/index/tiny.json", '"order": "', '"order": "x'), "or was edited"),
    (
        "submission",
        replace("data/index/tiny.json", '"header": [', '"header": ["x",'),
        "or was edited",
    ),
    ("check", replace("submissions/tiny.json", '"rows": 5', '"rows": 6'), "or was edited"),
    ("check", put("submissions/tiny.csv.gz", HTML), "faults in"),
    ("check", cut("submissions/tiny.csv.gz"), "faults in"),
    ("check", put("submissions/tiny.csv.gz", b""), "faults in"),
]


@pytest.mark.parametrize(("verb", "damage", "words"), DAMAGED)
def test_a_damaged_result_of_an_earlier_stage(
    project: Project, capfd: pytest.CaptureFixture[str], verb: str, damage: Damage, words: str
) -> None:
    root = project("masks")
    damage(root)
    code, message = refused(root, verb, capfd, ["tiny"])
    assert words in message
    assert code == 6


@pytest.mark.parametrize("verb", tiny.VERBS[:-1])
def test_a_full_disk(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    root = project("masks")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, words = refused(root, verb, capfd, ["tiny"])
    assert "No space left on device" in words
    assert "to do: free some space" in words
    place = words.split(f"darkroom {verb} tiny: ")[1].splitlines()[0]
    half_done = verb in ("train", "predict")  # whose first files lie in .darkroom
    assert (".darkroom" if half_done else "tiny") in place, "the file is named"
    assert code == 5


def test_an_interrupt_while_training(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project("masks")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(TrainModule, "train_batch", interrupt)
    code, words = refused(root, "train", capfd, ["tiny"])
    assert "darkroom train tiny: interrupted\n" in words
    assert code == 130
    assert signal.getsignal(signal.SIGINT) is handler


def rows_of(root: Path) -> list[str]:
    packed = (root / "submissions/tiny.csv.gz").read_bytes()
    return gzip.decompress(packed).decode().splitlines()


CHECKED: list[tuple[str, Callable[[list[str]], list[str]], list[str]]] = [
    (
        "all NaN",
        lambda rows: [rows[0], *(f"{r.split(',')[0]},nan" for r in rows[1:])],
        [
            "5 faults in 5 rows",
            "row 2: rle: a run-length text holds foreign characters; found: 'nan'",
        ],
    ),
    ("no header", lambda rows: rows[1:], ["the header is 't4,", "'t4' is missing"]),
    ("a row less", lambda rows: rows[:-1], ["1 faults in 4 rows", "'t0' is missing"]),
    ("a row twice", lambda rows: [*rows, rows[1]], ["row 7: 't4' is already in row 2"]),
    (
        "another id",
        lambda rows: [*rows[:-1], "t9,"],
        [
            "row 6: 't9' is not an id of the test set",
            "'t0' is missing",
        ],
    ),
    (
        "out of bounds",
        lambda rows: [*rows[:-1], "t0,1584 2"],
        [
            "row 6: rle: a run goes past the last pixel, 1584",
        ],
    ),
    (
        "overlap",
        lambda rows: [*rows[:-1], "t0,1 5 3 2"],
        [
            "row 6: rle: a run begins before the one before it ends",
        ],
    ),
]


@pytest.mark.parametrize(("change", "words"), [pair[1:] for pair in CHECKED])
def test_a_submission_that_its_judge_would_refuse(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    change: Callable[[list[str]], list[str]],
    words: list[str],
) -> None:
    root = project("masks")
    text = "\n".join(change(rows_of(root))) + "\n"
    put("submissions/tiny.csv.gz", gzip.compress(text.encode()))(root)
    code, message = refused(root, "check", capfd, ["tiny"])
    assert "darkroom check tiny: submissions/tiny.csv.gz: " in message
    for each in words:
        assert each in message
    assert code == 6
    capfd.readouterr()
    assert main(["summary"]) == 6
    assert "faults: darkroom check tiny" in capfd.readouterr().out


def test_a_file_of_another_name_is_checked(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    put("mine.csv", "\n".join(rows_of(root)) + "\n")(root)
    assert main(["check", "tiny", "mine.csv"]) == 0
    assert "mine.csv: valid: 5 rows" in capfd.readouterr().out
    code, words = refused(root, "check", capfd, ["tiny", "yours.csv"])
    assert "yours.csv: the submission cannot be read\n  found: No such file" in words
    assert code == 6

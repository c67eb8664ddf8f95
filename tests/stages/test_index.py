"""What the stage index refuses before anything is decoded or learned."""

from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.main import main
from darkroom.index.card import UNLIKE_ANSWERS
from darkroom.index.table import read_index
from darkroom.project.paths import Layout
from tests.support import tiny


def test_a_header_without_room_for_the_answers_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    tiny.edit(root, lambda params: params["tiny"]["data"].update(metric="log_loss"))
    monkeypatch.chdir(root)
    tiny.run("fetch")
    assert main(["index", "tiny"]) != 0
    message = capsys.readouterr().err
    assert "the submission's header has no room for what log_loss counts" in message
    assert "expected: a column for each of 3: " in message
    assert not (root / "data/index/tiny.csv").exists()


def test_a_metric_of_ones_own_without_room_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    tiny.edit(root, lambda params: params["tiny"]["data"].update(metric="metrics/mine.py:score"))
    (root / "metrics").mkdir(exist_ok=True)
    file = root / "metrics/mine.py"
    file.write_text("def score(truth, predictions):\n    return 1.0\n")
    monkeypatch.chdir(root)
    tiny.run("fetch", "index", "split", "fold")
    file.write_text('WRITES = "probabilities"\n' + file.read_text())
    assert main(["fold", "tiny", "--fold", "0"]) != 0
    words = "the submission's header has no room for what metrics/mine.py:score counts"
    assert words in capsys.readouterr().err


def sampled(root: Path, cell: str, **changes: object) -> None:
    """Give a project a sample submission that holds a cell everywhere, and changes to its data."""
    tests = (root / "source/test.csv").read_text().split()[1:]
    rows = "".join(f"{line.split(',')[0]},{cell}\n" for line in tests)
    tiny.put(root / "source/sample.csv", f"image,green\n{rows}")
    data = {"like": "sample.csv", "header": [], **changes}
    tiny.edit(root, lambda params: params["tiny"]["data"].update(data))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "its file can't be read"),
        ("def score(truth, predictions:", "SyntaxError"),
        ("def other(truth, predictions):\n    return 1.0\n", "the file has no such function"),
        ("BEST = 3\ndef score(truth, predictions):\n    return 1.0\n", "BEST is invalid"),
    ],
)
def test_a_file_of_a_metric_that_can_not_be_used_is_refused_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    words: str,
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    tiny.edit(root, lambda params: params["tiny"]["data"].update(metric="metrics/mine.py:score"))
    if source:
        tiny.put(root / "metrics/mine.py", source)
    monkeypatch.chdir(root)
    tiny.run("fetch")
    assert main(["index", "tiny"]) != 0
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (
            "multiclass",
            {"metric": "quadratic_kappa"},
            "quadratic_kappa counts how far grades are apart, which these classes do not say",
        ),
        (
            "multilabel",
            {"metric": "weighted_log_loss", "weights": {"zz": 2}},
            "data.weights: there is no such label or target\n  found: zz",
        ),
    ],
)
def test_targets_that_do_not_go_with_the_metric_are_refused_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    changes: dict[str, Any],
    words: str,
) -> None:
    root = tiny.project(tmp_path, kind)
    tiny.edit(root, lambda params: params["tiny"]["data"].update(changes))
    monkeypatch.chdir(root)
    tiny.run("fetch")
    assert main(["index", "tiny"]) != 0
    assert words in capsys.readouterr().err
    assert not (root / "data/index/tiny.csv").exists()


def test_a_sample_of_other_words_than_will_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "binary")
    monkeypatch.chdir(root)
    sampled(root, "maybe", metric="accuracy")
    tiny.run("fetch", "index")
    assert f"tiny: 5 {UNLIKE_ANSWERS}\n" in capsys.readouterr().out
    sampled(root, "no", metric="accuracy")
    tiny.run("fetch", "index")
    assert UNLIKE_ANSWERS not in capsys.readouterr().out


def label_values_of(root: Path) -> tuple[str, str]:
    layout = Layout("tiny", root)
    return read_index(layout.index, layout.card).card.label_values


def test_a_sample_of_numbers_is_refused_where_words_would_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "binary")
    monkeypatch.chdir(root)
    table = (root / "source/train.csv").read_text()
    tiny.put(root / "source/train.csv", table.replace(",no", ",cat").replace(",yes", ",dog"))
    sampled(root, "0", metric="accuracy")
    tiny.run("fetch")
    assert main(["index", "tiny"]) != 0
    assert "column green of the sample submission holds numbers" in capsys.readouterr().err
    sampled(root, "0", metric="accuracy", values={"dog": 0, "cat": 1})
    tiny.run("index")
    assert label_values_of(root) == ("0", "1")


@pytest.mark.parametrize(
    ("cell", "pair"),
    [("0", ("0", "1")), ("FALSE", ("FALSE", "TRUE")), ("-1", ("-1", "1")), ("yes", ("no", "yes"))],
)
def test_usual_words_are_written_as_the_sample_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, pair: tuple[str, str]
) -> None:
    root = tiny.project(tmp_path, "binary")
    monkeypatch.chdir(root)
    sampled(root, cell, metric="f1")
    tiny.run("fetch", "index")
    assert label_values_of(root) == pair


def test_a_number_that_fills_the_sample_is_no_word_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "binary")
    monkeypatch.chdir(root)
    table = (root / "source/train.csv").read_text()
    tiny.put(root / "source/train.csv", table.replace(",no", ",0").replace(",yes", ",1"))
    sampled(root, "-1", metric="f1")
    tiny.run("fetch", "index")
    assert label_values_of(root) == ("0", "1")
    assert f"tiny: 5 {UNLIKE_ANSWERS}\n" in capsys.readouterr().out
    sampled(root, "1.0", metric="f1")
    tiny.run("fetch", "index")
    assert label_values_of(root) == ("0.0", "1.0")

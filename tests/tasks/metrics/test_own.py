"""A metric of the user's own: how it is loaded, called and refused."""

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import ParamsError
from darkroom.tasks.metrics.epochs import EpochMetric
from darkroom.tasks.metrics.own import is_lower_better, own_digests
from darkroom.tasks.metrics.specs import get_metric

NAME = "metrics/mine.py:score"
TRUTH, FOUND = np.array([[1.0], [0.0]]), np.array([[0.75], [0.5]], np.float32)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()
    return tmp_path


def write(text: str) -> None:
    Path("metrics/mine.py").write_text(text)


def test_a_function_is_a_metric_like_any_other() -> None:
    write(
        'BEST = "min"\nWRITES = "probabilities"\n\n'
        "def score(truth, predictions):\n    return abs(truth - predictions).mean()\n"
    )
    spec = get_metric(NAME, "binary")
    assert (spec.name, spec.best, spec.writes, spec.threshold) == (
        NAME,
        "min",
        "probabilities",
        "half",
    )
    assert spec.score("binary", TRUTH, FOUND) == 0.375
    assert EpochMetric(spec, "binary").score(TRUTH, FOUND) == 0.375
    assert [path.name for path in Path("metrics").iterdir()] == ["mine.py"], "nothing beside it"


def test_answers_are_what_it_gets_unless_it_says_otherwise() -> None:
    write("def score(truth, predictions):\n    return float((truth == predictions).mean())\n")
    spec = get_metric(NAME, "binary")
    assert (spec.best, spec.writes, spec.threshold) == ("max", "labels", "auto")
    # At the best threshold, between one half and three quarters.
    assert EpochMetric(spec, "binary").score(TRUTH, FOUND) == 1
    assert get_metric(NAME, "regression").writes == "values"


def test_an_edit_is_seen() -> None:
    write("def score(truth, predictions):\n    return 1\n")
    before = own_digests(NAME)
    assert get_metric(NAME, "binary").score("binary", TRUTH, FOUND) == 1
    write("def score(truth, predictions):\n    return 2\n")
    assert get_metric(NAME, "binary").score("binary", TRUTH, FOUND) == 2
    assert own_digests(NAME) != before
    assert own_digests("accuracy") == {}


def test_none_is_not_defined() -> None:
    write("def score(truth, predictions):\n    return None\n")
    assert get_metric(NAME, "binary").score("binary", TRUTH, FOUND) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def other(t, p): ...\n", "the file has no such function"),
        ("score = 3\n", "the file has no such function"),
        ("raise GeneratorExit\n", "row 1: .*the file can't be run.*GeneratorExit"),
        ("raise SystemExit(0)\n", "row 1: .*the file can't be run.*SystemExit: 0"),
        ("def score(:\n", "mine.py, row 1: .*the file can't be run"),
        ("x = 1\nimport nothing_of_this_name\n", "row 2: .*ModuleNotFoundError"),
        ('BEST = "most"\ndef score(t, p): ...\n', "BEST is invalid.*found: most"),
        ('WRITES = "values"\ndef score(t, p): ...\n', "WRITES is invalid for the task binary"),
        (
            "def score(truth): ...\n",
            "takes other arguments: too many.*expected: .truth, predictions",
        ),
        ("def score(t, p, *, k): ...\n", "takes other arguments: missing a required.*'k'"),
        (
            'A = "min"\nBEST = A\ndef score(t, p): ...\n',
            'no plain text.*write BEST = "min" on a line',
        ),
        ('if 1:\n    BEST = "min"\ndef score(t, p): ...\n', "no plain text.*found: min"),
    ],
)
def test_a_file_that_is_no_metric_is_refused(text: str, words: str) -> None:
    write(text)
    with pytest.raises(ParamsError, match=f"(?s){words}"):
        get_metric(NAME, "binary")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", "row 2: .*the function failed.*ZeroDivisionError"),
        ("return float('nan')", "returns no score.*found: float nan"),
        ("return truth", "returns no score.*found: ndarray"),
        ("return True", "returns no score.*found: bool True"),
        ("truth[0] = 0", "row 2: .*read-only.*copy an array before changing it"),
        ("predictions += 1", "row 2: .*read-only"),
        ("truth.flags.writeable = True", "row 2: .*cannot set WRITEABLE flag"),
        ("return missing(truth)", "row 2: .*NameError"),
        ("raise BaseException('full')", "row 2: .*the function failed.*BaseException: full"),
        ("raise SystemExit(0)", "row 2: .*the function failed.*SystemExit: 0"),
        ("return 10**400", "returns no score.*found: an integer beyond"),
        ("return 10**5000", "returns no score.*found: an integer beyond"),
    ],
)
def test_a_function_that_gives_no_score_is_refused(body: str, words: str) -> None:
    write(f"def score(truth, predictions):\n    {body}\n")
    spec = get_metric(NAME, "binary")
    truth, found = TRUTH.copy(), FOUND.copy()
    with pytest.raises(ParamsError, match=f"(?s){words}"):
        spec.score("binary", truth, found)
    assert (truth == TRUTH).all()
    assert (found == FOUND).all()
    truth[0] = 5  # what was passed can still be written to


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("metrics/none.py:score", "its file can't be read"),
        ("/etc/mine.py:score", "no function of a file in the folder metrics"),
        ("../mine.py:score", "no function of a file in the folder metrics"),
        ("metrics/mine.py:a-b", "no function of a file in the folder metrics"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        get_metric(name, "binary")


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ('BEST = "min"', "min"),
        ("BEST: str = 'min'", "min"),
        ('BEST = ("min")  # less is better', "min"),
        ('BEST = "min"\nBEST = "max"', "max"),
        ('# BEST = "min"', "max"),
        ('"""\nBEST = "min"\n"""', "max"),
        ("", "max"),
    ],
)
def test_which_is_better_is_read_as_python_reads_it(text: str, best: str) -> None:
    write(f"{text}\ndef score(truth, predictions): ...\n")
    assert get_metric(NAME, "binary").best == best
    assert is_lower_better(NAME) == (best == "min")


def test_of_a_file_that_is_no_python_nothing_is_known() -> None:
    for text in ("def", "\0", "(" * 300):
        write(text)
        assert not is_lower_better(NAME)
    assert not is_lower_better("metrics/none.py:score")


def test_an_interrupt_is_none_of_its_faults() -> None:
    write("def score(truth, predictions):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        get_metric(NAME, "binary").score("binary", TRUTH, FOUND)


def test_masks_have_no_metric_of_ones_own() -> None:
    with pytest.raises(ParamsError, match="can't be a metric of segmentation"):
        get_metric(NAME, "segmentation")

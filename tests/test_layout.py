"""Paths keep what belongs together side by side, and what differs apart."""

from pathlib import Path

from darkroom.layout import Layout

CARS = Layout("cars")


def test_what_stands_beside_what() -> None:
    assert CARS.card == CARS.index.with_suffix(".json")
    assert CARS.facts.parent == CARS.processed
    assert CARS.submission.name == "cars.csv.gz"
    for report in (CARS.audit, CARS.metrics, CARS.decision, CARS.scores, CARS.curves):
        assert report.parent == CARS.reports


def test_folds_and_fingerprints_have_places_of_their_own() -> None:
    assert CARS.model(0) != CARS.model(1)
    assert CARS.history(0) != CARS.history(1)
    first, second = "0123456789abcdef0123", "f123456789abcdef0123"
    assert CARS.runs(0, first) == Path("runs/cars/fold0-01234567")
    assert len({CARS.runs(0, first), CARS.runs(1, first), CARS.runs(0, second)}) == 3
    assert CARS.work(first) == Path(".darkroom/0123456789abcdef")


def test_everything_lies_under_the_root_and_bears_the_name() -> None:
    here = Layout("cars", Path("/project"))
    for path in (here.raw, here.index, here.split, here.processed, here.reports, here.model(2)):
        assert path.is_relative_to("/project")
        assert path == Path("/project") / path.relative_to("/project")
        assert "cars" in path.as_posix()
    assert here.spool == Path("/project/.darkroom/spool/cars")

import pytest

from benchmarks import alignment
from darkroom.images import geometry


def test_quick_run(capsys: pytest.CaptureFixture[str]) -> None:
    alignment.main(["--quick"])
    printed = capsys.readouterr().out
    assert "12 random sizes, stored sizes and fits" in printed
    assert "| 1/2 |" in printed


def test_the_drawn_edge_is_found_where_it_was_drawn() -> None:
    triple = alignment.Triple(300, 400, 150, 100, "stretch", axis=1, at=0.55)
    drawn = alignment.draw_edge(triple)
    assert drawn[0, [0, 219, 220, 399], 0].tolist() == [200, 200, 60, 60]
    stored = geometry.fit_image(drawn, 150, 100, "stretch")
    assert alignment.find_edge(stored, triple) == pytest.approx(55)

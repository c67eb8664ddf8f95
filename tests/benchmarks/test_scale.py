import json
import zipfile
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.harness import Usage
from darkroom.images import codec


def test_the_exponent_is_that_of_the_part_that_grows() -> None:
    costs = [5 + 0.001 * rows**1.2 for rows in (1_000, 4_000, 16_000)]
    assert scale.exponent(costs, 4) == pytest.approx(1.2)
    assert scale.exponent([5.0, 5.1, 5.2], 4) is None
    assert scale.exponent([5.0, 9.0], 4) is None


def test_worst_exponent_and_growth_are_goals() -> None:
    usages = [
        [Usage(1 + 0.001 * rows, 1, 100, 50, 0), Usage(rows**1.1 / 1000, 1, 90 + rows / 100, 50, 7)]
        for rows in (1_000, 4_000, 16_000)
    ]
    table, goals = scale.tabulate("table", [1_000, 4_000, 16_000], ["index", "audit"], usages)
    assert table.rows[0][:4] == ["index", 2.0, 5.0, 17.0]
    assert [goal.what for goal in goals] == ["table, audit: exponent", "table, audit: memory grows"]
    assert goals[0].measured == pytest.approx(1.1)
    assert goals[1].measured == pytest.approx(250 / 130)
    assert [goal.is_met for goal in goals] == [False, False]


def test_what_is_drawn_depends_on_the_number_alone(tmp_path: Path) -> None:
    for rows in (50, 20):
        (tmp_path / str(rows)).mkdir()
        scale.DRAW["table"](tmp_path / str(rows), rows)
    assert (tmp_path / "20/train.csv").read_text().splitlines()[:2] == ["id,class", "9e3779b1,c1"]
    assert len((tmp_path / "20/test.csv").read_text().splitlines()) == 5
    with (
        zipfile.ZipFile(tmp_path / "50/pictures.zip") as many,
        zipfile.ZipFile(tmp_path / "20/pictures.zip") as few,
    ):
        names = few.namelist()
        assert names == many.namelist()[:20]
        data = [few.read(name) for name in names]
        assert data == [many.read(name) for name in names]
    assert codec.decode_image(data[0]).shape == (32, 32, 3)
    assert len(set(data)) == 19  # the second is a copy of the first


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["table", "celeba"])
def test_stages_run_at_three_sizes(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale.main(
        f"--layout {layout} --rows 240 --divide 4 1 --verbs fetch index split "
        f"--work {tmp_path} --json {tmp_path}/out.json".split()
    )
    assert f"{layout}, 240 rows: split" in capsys.readouterr().out
    (table,) = json.loads((tmp_path / "out.json").read_text())["tables"]
    assert [row["stage"] for row in table["rows"]] == ["fetch", "index", "split"]
    assert all(20 < row["main, MB at 240"] < 1000 for row in table["rows"])
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{layout}-240-raw", f"{layout}-60-raw", "out.json",
    }  # fmt: skip

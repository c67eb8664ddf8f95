import sys
from pathlib import Path

import pytest

from benchmarks import startup
from benchmarks.harness import child_cpu_s
from darkroom.cli.parser import STAGES


def test_ratios_are_to_the_imports_and_to_torch() -> None:
    result = startup.report({"index": (0.9, 0.6), "import torch": (1.8, 1.8)})
    assert result.tables[0].rows[0] == ["index", 0.9, 0.6, pytest.approx(1.5), 0.5]
    assert [(goal.what, goal.is_met) for goal in result.goals] == [
        ("index against its imports", False)
    ]


def test_every_stage_of_a_project_without_transfers_is_measured() -> None:
    assert set(STAGES) - set(startup.NEEDS) == {"transfer", "pseudo", "blend"}


def test_each_verb_takes_turns_with_its_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def cost_of(command: list[str], folder: Path) -> float:
        ran.append(" ".join(command[2:] if command[2].startswith("import") else command[3:]))
        return 2.0 if command[2].startswith("import") else 3.0

    monkeypatch.setattr(startup, "child_cpu_s", cost_of)
    costs = startup.measure(["split"], 2, tmp_path)
    assert costs == {"split": (3.0, 2.0), "import torch": (2.0, 2.0)}
    needs = "import pydantic, ruamel.yaml, pandas, pyarrow, scipy.sparse"
    assert ran[-6:] == ["split tiny", needs, "import torch"] * 2


def test_help_and_an_import_cost_some_cpu(tmp_path: Path) -> None:
    assert 0 < child_cpu_s(startup.command("--help"), tmp_path) < 5
    assert 0 < startup.import_cpu_s(["json"], tmp_path) < 1
    with pytest.raises(SystemExit, match=r"failed: .*wrong"):
        child_cpu_s([sys.executable, "-c", "raise SystemExit('wrong')"], tmp_path)

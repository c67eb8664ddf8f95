"""The output of `darkroom summary`, with which `make demo` ends."""

import json

import pytest

from darkroom.cli.main import main
from tests.support import tiny
from tests.support.damage import Project, put, remove


def run_summary(capfd: pytest.CaptureFixture[str], code: int) -> str:
    capfd.readouterr()
    assert main(["summary"]) == code
    return capfd.readouterr().out


def test_the_summary_of_a_competition(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    root = project("masks")
    scores = json.loads((root / "reports/tiny/metrics.json").read_text())["validation"]
    dice, free = scores["dice"], scores["baseline_mean_mask"]
    assert run_summary(capfd, 0) == (
        "\ntiny\n"
        f"  validation  dice {dice:.4f} (baseline: {free:.4f}) on 8 images\n"
        "  submission  submissions/tiny.csv.gz\n"
        "  checked     5 rows: valid\n"
        "  pictures    reports/tiny/contact_sheet.jpg reports/tiny/best_and_worst.jpg\n"
        "\nreports:        make report\n"
        "training runs:  make tensorboard\n"
    )


@pytest.mark.parametrize("name", ["submissions/tiny.csv.gz", "reports/tiny/metrics.json"])
def test_missing_outputs(project: Project, capfd: pytest.CaptureFixture[str], name: str) -> None:
    remove(name)(project("masks"))
    words = run_summary(capfd, 6)
    assert "\ntiny\n  no submission yet: run `dvc repro submission@tiny`\n" in words
    assert "checked" not in words


def test_only_listed_competitions_are_printed(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    tiny.edit(root, lambda params: params.update(other=params["tiny"]))
    assert "\nother\n" not in run_summary(capfd, 0)
    tiny.edit(root, lambda params: params.update(competitions=["other", "tiny"]))
    words = run_summary(capfd, 6)
    assert "\nother\n  no submission yet" in words
    assert "checked     5 rows: valid" in words


@pytest.mark.parametrize("text", ["{", "[]", '{"validation": 1}', '{"validation": {"dice": "1"}}'])
def test_damaged_metrics(project: Project, capfd: pytest.CaptureFixture[str], text: str) -> None:
    put("reports/tiny/metrics.json", text)(project("masks"))
    assert main(["summary"]) == 6
    words = capfd.readouterr().err
    assert (
        "darkroom summary: reports/tiny/metrics.json: it is damaged: it holds no scores\n" in words
    )
    assert "to do: run `dvc repro -sf evaluate@tiny`" in words


def test_scores_of_test_images_stand_below_those_of_validation(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    root = project("masks")
    tiny.put(root / "reports/tiny/test_metrics.json", '{"dice": 0.75, "baseline_mean_mask": 0.5}')
    tiny.put(root / "reports/tiny/test_evaluation.json", '{"images": 5}')
    words = run_summary(capfd, 0)
    assert " on 8 images\n  test        dice 0.7500 (baseline: 0.5000) on 5 images\n" in words
    tiny.put(root / "reports/tiny/test_metrics.json", "[1]")
    assert main(["summary"]) == 6
    words = capfd.readouterr().err
    assert "reports/tiny/test_metrics.json: it is damaged" in words
    assert "run `dvc repro -sf submission@tiny`" in words

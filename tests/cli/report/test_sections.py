"""Sections of a page: what they say of scores that are no mean of their images."""

import re
from typing import cast

import pandas as pd

from darkroom.cli.report import page
from darkroom.cli.report.evidence import FoldScore
from darkroom.cli.report.page import Finding, Page, Section
from darkroom.cli.report.runs import Run
from darkroom.cli.report.sections.classes import classes_section
from darkroom.cli.report.sections.scores import score_section
from darkroom.tasks.metrics.specs import METRICS


def run_with(metrics: dict[str, float], curves: dict[str, pd.DataFrame] | None = None) -> Run:
    return Run("now", "cars", {}, metrics, {}, {}, curves or {})


def cells(section: Section, caption: str) -> list[list[str]]:
    """Return the texts of a table's rows."""
    table = next(t for t in " ".join(section.blocks).split("<table") if f">{caption}<" in t)
    rows = table.split("</table>")[0].split("<tr>")[1:]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def test_the_mean_of_images_stands_apart_from_the_score_of_masks() -> None:
    metrics = {"mean_iou": 0.5, "baseline_mean_iou": 0.2, "mean_iou_at_half": 0.4, "images": 4}
    folds = [FoldScore(0, 3, 0.75, None), FoldScore(1, 1, 0.25, None)]
    section = score_section(run_with(metrics), None, folds, METRICS["mean_iou"], "none")
    assert cells(section, "By fold, and in all") == [
        ["", "images", "mean of images", "mean_iou", "baseline", "over it"],
        ["fold 0", "3", "0.7500", "–", "–", "–"],
        ["fold 1", "1", "0.2500", "–", "–", "–"],
        ["in all", "4", "0.6250", "0.5000", "0.2000", "+0.3000 ▲"],
    ]
    assert "At half: with a threshold of 0.5." in " ".join(section.blocks)
    assert "Cross fitted" not in " ".join(section.blocks)


def test_a_baselines_r2_is_no_power_of_ten() -> None:
    row = {"target": "height", "mae": 1e-6, "r2": -0.5, "baseline_r2": -3.4e-7}
    section = cast(Section, classes_section(run_with({}, {"targets": pd.DataFrame([row])}), None))
    assert cells(section, "Each target")[1] == ["height", "1.00e−06", "−0.5000", "0.0000"]


def test_a_finding_names_the_section_that_says_more() -> None:
    finding = Finding("note", "Folds differ.", "scores")
    text = page.render(Page("cars", "", (), (Section("scores", "Scores", "", [], [finding]),)))
    assert '<a href="#scores">See Scores<span' in text

"""`darkroom report`: the page of each kind of competition, its structure, and a browser's view."""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from darkroom.cli.main import main
from darkroom.cli.report import report
from darkroom.project import processes
from tests.support import tiny
from tests.support.damage import Project
from tests.support.packed import zip_of
from tests.support.projects import one_thread

PAGE = Path("reports/tiny/report.html")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
AXE = os.environ.get("DARKROOM_AXE", "")  # axe.min.js, which searches a page for barriers
VOID = {"meta", "link", "img", "br"}
KINDS = ("multilabel", "multiclass", "binary", "regression")


class Structure(HTMLParser):
    """The elements of a page, in order: name, attributes, and the names of those around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.elements.append((tag, values, tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}, tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes, _ in self.elements if tag in tags]


def check_structure(text: str) -> Structure:
    """Check what a screen reader and a keyboard need, and that no host is named."""
    whole = Structure(text)
    assert whole.named("html")[0]["lang"] == "en"
    assert [len(whole.named(tag)) for tag in ("h1", "main", "header", "nav", "footer")] == [1] * 5
    assert ("title", {}, ("html", "head")) in whole.elements
    levels = [int(tag[1]) for tag, _, _ in whole.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(new <= old + 1 for old, new in pairwise(levels))
    assert all(picture["alt"] for picture in whole.named("img"))
    assert all(
        drawing.get("aria-label") or "aria-hidden" in drawing for drawing in whole.named("svg")
    )
    assert {head.get("scope") for head in whole.named("th")} <= {"row", "col"}
    assert len(whole.named("caption")) == len(whole.named("table"))
    ids = [values["id"] for _, values, _ in whole.elements if "id" in values]
    assert len(ids) == len(set(ids))
    targets = [link["href"] for link in whole.named("a")]
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    assert {section["aria-labelledby"] for section in whole.named("section")} <= set(ids)
    assert not whole.named("script", "iframe", "object")
    addresses = [
        v for _, each, _ in whole.elements for k, v in each.items() if k in ("src", "href")
    ]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text
    return whole


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Return a function's worth of projects that have run as far as the scores."""
    projects = {}
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(processes, "cores", lambda: 1)
        for kind in KINDS:
            projects[kind] = tiny.project(tmp_path_factory.mktemp(kind), kind)
            patch.chdir(projects[kind])
            tiny.run(*tiny.VERBS[:-1])
        yield projects


def test_a_page_of_masks(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    root = project("masks")
    assert main(["report", "tiny"]) == 0
    assert str(PAGE) in capfd.readouterr().out
    text = PAGE.read_text()
    whole = check_structure(text)
    metrics = json.loads((root / "reports/tiny/metrics.json").read_text())["validation"]
    assert f'<dd class="value">{metrics["dice"]:.4f}</dd>' in text
    assert f"baseline {metrics['baseline_mean_mask']:.4f}" in text
    assert "mean of images" not in text  # it is the score
    for title in ("Scores", "Parameters", "Training", "Worst and best", "Data", "Provenance"):
        assert f">{title}</h2>" in text
    scores = (root / "reports/tiny/scores.csv").read_text().splitlines()[1:]
    worst = min(scores, key=lambda line: (float(line.split(",")[1]), line)).split(",")[0]
    assert f"<h3>Worst 1: {worst}</h3>" in text
    sizes = {(int(each["height"]), int(each["width"])) for each in whole.named("img")}
    assert (40, 48) in sizes  # the raw pictures; stored ones have 32 x 32
    assert "dvc.lock, which says what a run left, is in no commit" in text


def test_a_page_needs_no_dvc(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project("masks")
    monkeypatch.setattr(report, "missing_modules", lambda extra: [extra])
    assert main(["report", "tiny"]) == 0
    assert "No earlier run stands beside it: DVC is not installed." in PAGE.read_text()


def test_the_same_results_make_the_same_page(project: Project) -> None:
    project("masks")
    pages = []
    for _ in range(2):
        assert main(["report", "tiny"]) == 0
        pages.append(PAGE.read_bytes())
    assert pages[0] == pages[1]


def test_stored_pictures_stand_for_raw_ones_that_have_gone(project: Project) -> None:
    root = project("masks")
    shutil.rmtree(root / "data/raw")
    assert main(["report", "tiny"]) == 0
    text = PAGE.read_text()
    assert "data/raw is not here" in text
    check_structure(text)


def test_a_run_without_scores(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    root = project("masks")
    (root / "reports/tiny/metrics.json").unlink()
    assert main(["report", "tiny"]) == 6
    assert "run `dvc repro evaluate@tiny` first" in capfd.readouterr().err
    assert not PAGE.exists()


def test_two_runs_with_the_pictures_that_changed_most(project: Project) -> None:
    root = project("masks")
    tiny.edit(root, lambda params: params.update(other=params["tiny"]))
    shutil.copytree("reports/tiny", "reports/other")
    scores = Path("reports/other/scores.csv").read_text().splitlines()
    image_id = scores[3].split(",")[0]
    scores[3] = f"{image_id},0.0,0.5"
    Path("reports/other/scores.csv").write_text("\n".join(scores) + "\n")
    assert main(["report", "other", "tiny"]) == 0
    text = Path("reports/tiny/compare.html").read_text()
    whole = check_structure(text)
    assert f"<h3>Better: {image_id}</h3>" in text
    assert [(each["height"], each["width"]) for each in whole.named("img")] == [("40", "48")]
    assert "1 became better, 0 worse" in text


def test_results_of_other_parameters(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    root = project("masks")
    tiny.edit(root, lambda params: params["tiny"]["train"].update(lr=0.5))
    assert main(["report", "tiny"]) == 6
    assert "train.lr: 0.01 in the predictions, 0.5 in params.yaml" in capfd.readouterr().err


def test_wrong_names(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project("masks")
    assert main(["report", "tinny"]) == 2
    assert "did you mean 'tiny'?" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        main(["report", "a", "b", "c"])
    assert "found 3 runs, expected one, or two to compare" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_each_kind(
    finished: dict[str, Path],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(finished[kind])
    assert main(["report", "tiny"]) == 0
    text = PAGE.read_text()
    check_structure(text)
    metrics = json.loads(Path("reports/tiny/metrics.json").read_text())["validation"]
    score = next(iter(metrics.values()))
    assert '<th scope="row">in all</th>' in text
    assert f"{score:.4f}" in text
    expected = {
        "multilabel": ("Each attribute, the worst first", "Calibration", "Scores by threshold"),
        "multiclass": ("Each class, the worst first", "Images by class and answer", "a, b"),
        "binary": ("Images by class and answer", "Precision and recall"),
        "regression": ("Each target", "depth", "height"),
    }
    assert all(words in text for words in expected[kind])


@pytest.mark.slow
def test_names_of_classes_are_shown_and_nothing_is_trained_anew(
    finished: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "named"
    shutil.copytree(finished["multiclass"], root, symlinks=True)
    monkeypatch.chdir(root)
    card = Path("data/index/tiny.json").read_bytes()
    names = {"pear": "green fruit", "10": "ten"}
    tiny.edit(root, lambda params: params["tiny"]["data"].update(names=names))
    tiny.run("index", "audit", "evaluate", "submission")
    assert Path("data/index/tiny.json").read_bytes() == card
    rows = csv.DictReader(Path("reports/tiny/curves/classes.csv").read_text().splitlines())
    assert {row["class"] for row in rows} == {"green fruit", "ten", "a, b"}
    counts = json.loads(Path("reports/tiny/audit.json").read_text())["targets"]["train"]
    assert set(next(iter(counts.values()))) == {"green fruit", "ten", "a, b"}
    with gzip.open("submissions/tiny.csv.gz", "rt") as file:
        answers = {row[-1] for row in csv.reader(file)}
    assert answers <= {"fruit", "pear", "10", "a, b"}
    assert main(["report", "tiny"]) == 0
    text = PAGE.read_text()
    assert "green fruit" in text
    assert ">pear<" not in text


@pytest.mark.slow
def test_scores_of_other_predictions_are_refused(
    finished: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(finished["multilabel"], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    path = Path("reports/tiny/metrics.json")
    metrics = json.loads(path.read_text())
    metrics["validation"]["accuracy"] = 0.123
    path.write_text(json.dumps(metrics))
    assert main(["report", "tiny"]) == 6
    assert "these scores are not those of the predictions" in capfd.readouterr().err


@pytest.mark.slow
def test_duplicates_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    patch = tiny.png(tiny.patch(1, (200, 70, 60)))
    images = {
        f"train/{n:03}.png": patch if n < 2 else tiny.png(tiny.patch(n, (90, 9 * n, 60)))
        for n in range(16)
    }
    zip_of(root / "source/train.zip", images)
    monkeypatch.chdir(root)
    with one_thread():
        tiny.run(*tiny.VERBS[:-2])
        assert main(["report", "tiny"]) == 0
    text = PAGE.read_text()
    check_structure(text)
    assert "The same bytes with different answers: 1 set." in text
    assert "<h3>train 000 = train 001</h3>" in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on this machine")
def test_a_browser_has_nothing_to_complain_of(project: Project, tmp_path: Path) -> None:
    project("masks")
    assert main(["report", "tiny"]) == 0
    dom, complaints = browse(PAGE, tmp_path)
    assert "<h1>tiny: report</h1>" in dom
    assert complaints == []
    # A page that asks a host, or runs a script, is complained of: so these would be seen.
    bad = PAGE.read_text().replace("</main>", '<img src="http://127.0.0.1:9/x.png" alt="x"></main>')
    (tmp_path / "bad.html").write_text(bad)
    assert browse(tmp_path / "bad.html", tmp_path)[1]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on this machine")
@pytest.mark.skipif(not AXE, reason="DARKROOM_AXE names no axe.min.js (npm pack axe-core)")
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_fault(
    finished: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(finished[kind])
    assert main(["report", "tiny"]) == 0
    assert axe_faults(PAGE.read_text(), tmp_path) == []
    bad = PAGE.read_text().replace("</main>", '<img src="data:,"></main>')
    assert axe_faults(bad, tmp_path) == ["image-alt"]


def axe_faults(text: str, folder: Path) -> list[str]:
    """Return the rules that a page breaks; axe runs in a copy that allows scripts."""
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    run = (
        'axe.run().then(r => document.body.append("[axe " + r.violations.map(v => v.id) + "]"),'
        'e => document.body.append("[axe failed: " + e + "]"))'
    )
    script = f"<script>{Path(AXE).read_text()}</script><script>{run}</script></body>"
    (folder / "axe.html").write_text(copy.replace("</body>", script))
    dom, _ = browse(folder / "axe.html", folder, "--virtual-time-budget=60000")
    faults = re.findall(r"\[axe ([^\]]*)\]</body>", dom)
    assert len(faults) == 1
    return [each for each in faults[0].split(",") if each]


def browse(page: Path, folder: Path, *more: str) -> tuple[str, list[str]]:
    """Return a page as a browser without network has it, and what its console says."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    options += ["--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", *more]
    done = subprocess.run(
        [CHROMIUM, *options, page.resolve().as_uri()], capture_output=True, text=True, check=True
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]

"""What `dvc plots show` draws of a competition of one's own, without a network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from darkroom.stages._evaluation import CURVES

ROOT = Path(__file__).parents[2]
ROWS = {
    "threshold": "threshold,dice\n0.25,0.5\n0.5,0.75\n",
    "confusion": "actual,predicted\na,a\na,b\nb,b\n",
}
HISTORY = "epoch,loss/train,loss/val\n1,0.9,0.8\n2,0.5,0.6\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return the page of a project whose stages have run, but for their models."""
    reports = tmp_path / "reports/mine"
    for name, columns in CURVES.items():
        file = reports / f"curves/{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(ROWS.get(name, ",".join(columns) + "\n"))
    (reports / "history").mkdir()
    for fold in (0, 1):
        (reports / f"history/fold{fold}.csv").write_text(HISTORY)
    for name in ("contact_sheet.jpg", "best_and_worst.jpg"):
        (reports / name).write_bytes(b"\xff\xd8\xff")
    params = {"competitions": ["mine"], "folds": [0, 1], "seed": 0}
    lists: dict[str, list[str]] = {"transfers": [], "blends": [], "pseudo_labels": []}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | lists))
    for name in (".dvcignore", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc").mkdir()
    for name in ("config", "plots.html"):
        shutil.copy(ROOT / ".dvc" / name, tmp_path / ".dvc" / name)
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["dvc", "plots", "show", "-q"], cwd=tmp_path, check=True)
    return tmp_path / "dvc_plots/index.html"


@pytest.mark.slow
def test_a_page_of_ones_own_competition(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r'(src|href)="(https?:)?//', text)
    titles = {f"mine, fold {fold}, loss" for fold in (0, 1)} | {"mine, confusion"}
    assert titles | {"mine, score by threshold"} <= set(re.findall(r'"text": "([^"]*)"', text))
    assert "predicted values" not in text, "a table without rows"
    pictures = [path.name for path in sorted((page.parent / "static").iterdir())]
    assert pictures == [
        f"workspace_reports_mine_{name}.jpg" for name in ("best_and_worst", "contact_sheet")
    ]
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to draw the page")
    offline = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    command = [browser, *offline, "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("<canvas") + done.stdout.count('<svg class="marks"') == 4

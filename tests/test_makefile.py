"""What `make install` prints and runs, without running it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def steps(*arguments: str) -> str:
    """Return what make would run if nothing were installed."""
    command = ["make", "--no-print-directory", "-n", "-W", "requirements.lock", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_size_is_said_before_anything_is_downloaded() -> None:
    text = steps("demo")
    assert text.index("They take 6.6 GB") < text.index("pip install")
    assert "make demo TORCH=cpu (untested)" in text
    assert "--require-hashes" in text
    assert text.rstrip().endswith("dvc repro\ndarkroom summary")


def test_the_site_has_every_page_and_no_link_that_leads_out_of_it(tmp_path: Path) -> None:
    """The steps before mkdocs, which is strict about links, but is not installed here."""
    text = steps("docs")
    recipe = text[text.index("rm -rf .darkroom/docs") : text.index("NO_MKDOCS_2_WARNING")]
    for name in ("docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    subprocess.run(["sh", "-ec", recipe], cwd=tmp_path, check=True)
    folder = tmp_path / ".darkroom/docs"
    pages = {path.name for path in folder.glob("*.md")}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} < pages
    links = re.compile(r"\]\((?!https?:|#)([^)#]+)")
    linked = {link for page in folder.glob("*.md") for link in links.findall(page.read_text())}
    assert linked
    assert linked - {"LICENSE", "Dockerfile"} <= {path.name for path in folder.iterdir()}


def test_another_build_of_torch_comes_without_nvidias_packages(tmp_path: Path) -> None:
    text = steps("install", "TORCH=cpu")
    assert "6.6 GB" not in text
    assert "--torch-backend cpu" in text
    assert "--require-hashes" not in text
    (line,) = re.findall(r"^(sed .*) requirements.lock > ", text, re.MULTILINE)
    done = subprocess.run(f"{line} {ROOT}/requirements.lock", shell=True, capture_output=True)
    rest = done.stdout.decode().splitlines()
    names = [each.partition("==")[0] for each in rest]
    assert {"torch", "torchvision", "numpy", "dvc", "pytest"} <= set(names)
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]
    pinned = re.compile(r"[\w.\[\]-]+==[\w.+!-]+( ; [^#\\\\]+)?")
    assert [each for each in rest if not pinned.fullmatch(each)] == []


def test_a_build_of_torch_that_is_not_installed_makes_the_environment_anew(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    installed = tmp_path / ".venv/installed"

    def install(*arguments: str) -> str:
        command = ["make", "--no-print-directory", "-n", "install", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    installed.write_text("\n")
    assert "Nothing to be done" in install()
    other = install("TORCH=cpu")
    assert "-m venv --clear .venv" in other
    assert "--torch-backend cpu" in other
    assert other.rstrip().endswith("echo 'cpu' > .venv/installed")
    installed.write_text("cpu\n")
    assert "Nothing to be done" in install() + install("TORCH=cpu"), "what is installed is kept"
    for same in (install("-W", "requirements.lock"), install("-W", "pyproject.toml")):
        assert "--torch-backend cpu" in same
        assert "--clear" not in same
    back = install("TORCH=")
    assert "-m venv --clear .venv" in back
    assert "--require-hashes" in back
    assert back.rstrip().endswith("echo '' > .venv/installed")

"""Wheels of Darkroom and of what Kaggle lacks: pip takes them; an index out of reach is named."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

from darkroom.deploy import wheels
from darkroom.errors import RemoteError, ResourceError

TAGS = ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", "cp312-cp312-win_amd64")


def index_of(folder: Path, *packages: str) -> str:
    """Make a package index on disk with empty wheels, and return its address."""
    for name in packages:
        page = folder / name.replace(".", "-")
        page.mkdir(parents=True)
        for tags in TAGS:
            stem = f"{name.replace('.', '_')}-{version(name)}"
            with ZipFile(page / f"{stem}-{tags}.whl", "w") as wheel:
                metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version(name)}\n"
                wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
                wheel.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tags}\n")
        names = sorted(path.name for path in page.iterdir())
        (page / "index.html").write_text("".join(f'<a href="{name}">{name}</a>' for name in names))
    return folder.as_uri()


def test_our_wheel_has_the_package_and_installs(tmp_path: Path) -> None:
    path = wheels.write_own_wheel(tmp_path)
    assert path.name == f"darkroom-{version('darkroom')}-py3-none-any.whl"
    with ZipFile(path) as wheel:
        names = wheel.namelist()
        assert wheel.read("darkroom/deploy/wheels.py") == Path(wheels.__file__).read_bytes()
    assert "darkroom/py.typed" in names
    assert not any("__pycache__" in name or name.startswith("/") for name in names)
    first = path.read_bytes()
    assert wheels.write_own_wheel(tmp_path).read_bytes() == first
    target = tmp_path / "site"
    options = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--target", target)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, path], check=True)
    command = "import darkroom.cli, sys; print(darkroom.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", command], cwd=target, capture_output=True, text=True, check=True
    )
    assert Path(shown.stdout.strip()).is_relative_to(target)
    assert (target / "bin/darkroom").is_file()


def test_a_checkout_that_is_not_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "PACKAGE", tmp_path / "not_a_distribution")
    with pytest.raises(ResourceError, match="pip install -e"):
        wheels.write_own_wheel(tmp_path)


def test_wheels_of_the_installed_versions_are_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "PYTHONS", ("3.11",))
    monkeypatch.setenv("PIP_INDEX_URL", index_of(tmp_path / "index", "isal", "ruamel.yaml"))
    folder, cache = tmp_path / "dataset", tmp_path / "cache"
    folder.mkdir()
    cache.mkdir()
    (cache / "isal-0.1-py3-none-any.whl").touch()  # of an earlier version
    expected = [f"isal=={version('isal')}", f"ruamel.yaml=={version('ruamel.yaml')}"]
    assert wheels.fetch_wheels({"ruamel.yaml", "isal"}, folder, cache) == expected
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        f"isal-{version('isal')}-{TAGS[0]}.whl",
        f"ruamel_yaml-{version('ruamel.yaml')}-{TAGS[0]}.whl",
    ]
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "gone").as_uri())
    again = tmp_path / "again"
    again.mkdir()
    wheels.fetch_wheels({"isal"}, again, cache)
    assert [path.name for path in again.iterdir()] == names[:1]


def test_an_index_out_of_reach_is_an_error_that_says_what_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "PYTHONS", ("3.11",))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(RemoteError) as error:
        wheels.fetch_wheels({"isal"}, tmp_path, tmp_path / "cache")
    message = str(error.value)
    assert "could not be fetched from the package index" in message
    assert "for Python 3.11: ERROR: No matching distribution found" in message
    assert f"expected: isal=={version('isal')}" in message
    assert str(tmp_path / "cache") in message
    assert not list(tmp_path.glob("*.whl"))


def test_without_pip_uv_runs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda _: None)
    monkeypatch.setattr(wheels, "which", lambda name: f"/bin/{name}")
    assert wheels._pip() == ["/bin/uv", "tool", "run", "--quiet", "pip"]
    monkeypatch.setattr(wheels, "which", lambda _: None)
    with pytest.raises(ResourceError, match="install pip"):
        wheels._pip()

"""The notebook's cell that installs wheels, run with one that the environment lacks."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from darkroom.deploy.kernel import CONTENTS, NOTEBOOK, Kernel, write_kernel

KERNEL = Kernel("tiny", "somebody", "darkroom-tiny", "tiny-things", has_gpu=False)
SHOWN = """\
import importlib.metadata, lacking
print(lacking.__file__, importlib.metadata.version("lacking"))
"""


def write_wheel(folder: Path, version: str) -> None:
    """Write a wheel of a package `lacking` that names a requirement which nobody has."""
    info = f"lacking-{version}.dist-info"
    contents = {
        "lacking.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: lacking\nVersion: {version}\n"
        "Requires-Dist: numpy>=99\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with ZipFile(folder / f"lacking-{version}-py3-none-any.whl", "w") as wheel:
        for name, data in contents.items():
            wheel.writestr(name, data)


def run(python: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code where the package index is out of reach."""
    own = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("PIP_")}
    return subprocess.run(
        [python, "-c", code], env=environment | own, capture_output=True, text=True
    )


@pytest.mark.slow  # processes of pip
def test_the_cell_installs_wheels_of_the_data_set_and_nothing_else(tmp_path: Path) -> None:
    dataset = tmp_path / "input/darkroom-tiny"
    for folder in (dataset, tmp_path / "input/tiny-things", tmp_path / "kernel"):
        folder.mkdir(parents=True)
    for version in ("1.2", "1.3"):
        write_wheel(dataset, version)
    write_kernel(tmp_path / "kernel", KERNEL)
    cells = json.loads((tmp_path / "kernel" / NOTEBOOK).read_text())["cells"]
    code = "\n".join(cell["source"] for cell in cells[1:3]).replace("/kaggle/", f"{tmp_path}/")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    (site,) = tmp_path.glob("venv/lib/python*/site-packages")
    (site / "image.pth").write_text(sysconfig.get_path("purelib"))  # pip, and all others

    def install(*requirements: str) -> subprocess.CompletedProcess[str]:
        (dataset / CONTENTS).write_text(json.dumps({"requirements": requirements}))
        return run(python, code)

    assert "No module named 'lacking'" in run(python, SHOWN).stderr
    done = install("lacking==1.2")
    assert done.returncode == 0, done.stderr
    assert run(python, SHOWN).stdout == f"{site / 'lacking.py'} 1.2\n"
    assert {path.name for path in site.iterdir()} - {"__pycache__"} == {
        "image.pth",
        "lacking.py",
        "lacking-1.2.dist-info",
    }
    assert install("lacking==1.3").returncode == 0, "another version than the image's replaces it"
    assert run(python, SHOWN).stdout == f"{site / 'lacking.py'} 1.3\n"
    done = install("lacking==1.3", "absent==2.0")
    assert done.returncode == 1
    assert "RuntimeError: pip ended with code 1" in done.stderr
    assert "No matching distribution found for absent==2.0" in done.stdout

"""A notebook of Kaggle that predicts a competition's test files without a network.

It installs the bundle's wheels, links its files to a project, and runs `darkroom predict`.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.project import files

NOTEBOOK = "notebook.ipynb"
METADATA = "kernel-metadata.json"
CONTENTS = "bundle.json"
"""In the data set: its name, and where in a project each of its files belongs."""
OUTPUT = "submission.csv"
"""The file that Kaggle scores."""
MOST_LETTERS = 50  # of a data set's and a notebook's name on Kaggle

_INTRODUCTION = """\
# {name}

Predicts the test files of [{competition}](https://www.kaggle.com/competitions/{competition})
with trained models, and writes `{output}`. It needs the data set `{dataset}`, and no internet.
"""
_FIND = '''\
import json
import subprocess
import sys
import tempfile
from pathlib import Path

INPUT = Path("/kaggle/input")


def find(*places):
    """Return the input folder that is there: Kaggle has mounted inputs in two ways."""
    for place in places:
        if (INPUT / place).is_dir():
            return INPUT / place
    raise FileNotFoundError(f"add this input to the notebook: {{places[0]}}")


def run(*command, folder=None):
    """Run a command and show what it prints; raise RuntimeError with its last line if it fails."""
    options = {{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}}
    line = ""
    with subprocess.Popen([sys.executable, "-m", *command], cwd=folder, **options) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    if process.returncode:
        raise RuntimeError(f"{{command[0]}} ended with code {{process.returncode}}: {{line}}")


bundle = find("{slug}", "datasets/{dataset}")
raw = find("{competition}", "competitions/{competition}")
'''
_INSTALL = """\
# What the image has stays as it is: only these wheels are installed, and nothing that they need.
requirements = json.loads((bundle / "bundle.json").read_text())["requirements"]
options = ["--quiet", "--no-index", "--no-deps", "--force-reinstall", "--find-links", str(bundle)]
run("pip", "install", *options, *requirements)
"""
_PREDICT = """\
project = Path(tempfile.mkdtemp())
for path, name in json.loads((bundle / "bundle.json").read_text())["files"].items():
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).symlink_to(bundle / name)
out = "/kaggle/working/{output}"
run("darkroom.cli.main", "predict", "{name}", "--raw", str(raw), "--out", out, folder=project)
"""


@dataclass(frozen=True)
class Kernel:
    """What a notebook predicts, and with what.

    Attributes:
        name: The competition or blend in params.yaml.
        user: Kaggle's name of the account.
        slug: Kaggle's name of the notebook and of its data set.
        competition: Kaggle's name of it.
        has_gpu: Whether it runs on a GPU.
    """

    name: str
    user: str
    slug: str
    competition: str
    has_gpu: bool

    @property
    def ref(self) -> str:
        """The notebook's, and its data set's, name on Kaggle: "owner/name"."""
        return f"{self.user}/{self.slug}"


def slug_of(name: str) -> str:
    """Return Kaggle's name of a bundle: letters, digits and hyphens, 6 to 50 of them.

    Two names have two: where hyphens or 50 letters can't say a name, a digest of it follows.

    Example:
        >>> slug_of("celeba_224"), slug_of("celeba__224")
        ('darkroom-celeba-224', 'darkroom-celeba-224-b25d9d')
    """
    words = [word for word in name.split("_") if word]
    slug = "-".join(["darkroom", *words])
    if "_".join(words) == name and len(slug) <= MOST_LETTERS:
        return slug
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{slug[: MOST_LETTERS - 7].rstrip('-')}-{digest}"


def _values(kernel: Kernel) -> dict[str, str]:
    return {
        "name": kernel.name,
        "slug": kernel.slug,
        "dataset": kernel.ref,
        "competition": kernel.competition,
        "output": OUTPUT,
    }


def write_kernel(folder: Path, kernel: Kernel) -> None:
    """Write a folder ready for `kaggle kernels push`: the notebook, and its metadata."""
    values = _values(kernel)
    code_cells = (_FIND.format(**values), _INSTALL, _PREDICT.format(**values))
    code: dict[str, Any] = {"execution_count": None, "outputs": []}
    bodies: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": _INTRODUCTION.format(**values)},
        *({"cell_type": "code", "source": source.rstrip(), **code} for source in code_cells),
    ]
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {"id": f"cell{number}", "metadata": {}, **body} for number, body in enumerate(bodies)
        ],
    }
    metadata = {
        "id": kernel.ref,
        "title": kernel.slug,  # Kaggle makes the name in the address from it: they must agree
        "code_file": NOTEBOOK,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": kernel.has_gpu,
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [kernel.ref],
        "competition_sources": [kernel.competition],
        "kernel_sources": [],
        "model_sources": [],
    }
    write_pretty(folder / NOTEBOOK, notebook)
    write_pretty(folder / METADATA, metadata)


def write_pretty(path: Path, values: dict[str, Any]) -> None:
    """Write JSON for people."""
    files.write(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")

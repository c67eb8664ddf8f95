"""The name of a result: a hash of the parameters, the inputs and the code that it came from."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from darkroom import closure
from darkroom.files import file_sha256

LIBRARIES = (
    "albumentations",
    "lightning",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "segmentation-models-pytorch",
    "simplejpeg",
    "timm",
    "torch",
    "torchvision",
)


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what pixels and weights are."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def of(stage: str, params: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    """Return the fingerprint of what a stage would make here, as 64 hexadecimal digits.

    Args:
        stage: The stage, such as `train`; its module's source files count.
        params: What the stage read from params.yaml, JSON-able.
        inputs: Files, and folders whose files count by relative name; their place does not.
    """
    code = [
        (path.relative_to(closure.PACKAGE).as_posix(), file_sha256(path))
        for path in closure.source_files(f"darkroom.stages.{stage}")
    ]
    contents = [
        (path.name, file.relative_to(path).as_posix(), file_sha256(file))
        for path in inputs
        for file in (sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path])
    ]
    story = json.dumps([stage, params, contents, code, libraries()], sort_keys=True)
    return hashlib.sha256(story.encode()).hexdigest()

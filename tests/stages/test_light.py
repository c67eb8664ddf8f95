"""Stages that read kept predictions import no torch: an edited threshold must cost seconds."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("stage", ["evaluate", "submission", "pseudo"])
def test_a_stage_that_asks_no_network_imports_no_torch(stage: str) -> None:
    heavy = ("torch", "sklearn", "timm", "albumentations", "torchvision")
    code = f"import sys, darkroom.stages.{stage}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

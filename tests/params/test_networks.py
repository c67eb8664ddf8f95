"""The names: what torchvision has is what is written out."""

import subprocess
import sys

import pytest
import torchvision
from torchvision.models import list_models

from darkroom.params.networks import CLASSIFIERS, DECODERS, LABEL_NAMES, MASK_NAMES, NAMES


def test_classifiers_are_torchvisions() -> None:
    assert sorted(CLASSIFIERS) == list_models(module=torchvision.models)


def test_no_name_stands_for_two() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(MASK_NAMES) + len(LABEL_NAMES)
    assert ("unet", *DECODERS) == MASK_NAMES
    assert LABEL_NAMES[0] == "small_cnn"


@pytest.mark.slow
def test_reading_them_imports_no_library_of_networks() -> None:
    code = (
        "import sys; from darkroom.models.build import build_network;"
        "build_network('unet', outputs=1, seed=1, width=2, depth=1);"
        "build_network('small_cnn', outputs=1, seed=1, width=2, depth=1);"
        "print([n for n in ('segmentation_models_pytorch', 'timm', 'torchvision')"
        " if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

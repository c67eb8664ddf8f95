import subprocess
import sys

import pytest

from darkroom import closure


def test_a_leaf_needs_itself_and_its_package() -> None:
    names = [
        p.relative_to(closure.PACKAGE).as_posix() for p in closure.source_files("darkroom.errors")
    ]
    assert names == ["__init__.py", "errors.py"]


def test_imports_are_followed_and_sorted() -> None:
    names = [
        p.relative_to(closure.PACKAGE).as_posix()
        for p in closure.source_files("darkroom.stages.setting")
    ]
    assert names == [
        "__init__.py",
        "contradictions.py",
        "errors.py",
        "layout.py",
        "paramfile.py",
        "params/__init__.py",
        "params/data.py",
        "params/model.py",
        "params/section.py",
        "params/train.py",
        "stages/__init__.py",
        "stages/setting.py",
    ]


def test_modules_of_others_are_left_out() -> None:
    assert closure.source_files("numpy") == []


@pytest.mark.parametrize("module", ["darkroom.fingerprint", "darkroom.stages.setting"])
def test_nothing_is_loaded_that_the_closure_does_not_list(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "for name, m in sorted(sys.modules.items()):\n"
        "    if name.split('.')[0] == 'darkroom': print(m.__file__)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(loaded) <= {str(p) for p in closure.source_files(module)}

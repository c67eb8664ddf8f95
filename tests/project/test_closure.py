import subprocess
import sys

import pytest

from darkroom.project import fingerprint


def test_a_leaf_needs_itself_and_its_package() -> None:
    names = [
        p.relative_to(fingerprint.PACKAGE).as_posix()
        for p in fingerprint.source_files("darkroom.errors")
    ]
    assert names == ["__init__.py", "errors.py"]


def test_imports_are_followed_and_sorted() -> None:
    names = [
        p.relative_to(fingerprint.PACKAGE).as_posix()
        for p in fingerprint.source_files("darkroom.index.split")
    ]
    assert names == [
        "__init__.py",
        "errors.py",
        "index/__init__.py",
        "index/split.py",
    ]


def test_modules_of_others_are_left_out() -> None:
    assert fingerprint.source_files("numpy") == []


@pytest.mark.parametrize("module", ["darkroom.project.fingerprint", "darkroom.stages._context"])
def test_nothing_is_loaded_that_the_closure_does_not_list(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "for name, m in sorted(sys.modules.items()):\n"
        "    if name.split('.')[0] == 'darkroom': print(m.__file__)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(loaded) <= {str(p) for p in fingerprint.source_files(module)}

import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.project import fingerprint


def test_a_leaf_needs_itself_alone() -> None:
    names = [
        p.relative_to(fingerprint.PACKAGE).as_posix()
        for p in fingerprint.import_closure("darkroom.errors")
    ]
    assert names == ["errors.py"]


def test_imports_are_followed_and_sorted() -> None:
    names = [
        p.relative_to(fingerprint.PACKAGE).as_posix()
        for p in fingerprint.import_closure("darkroom.index.split")
    ]
    assert names == ["errors.py", "index/split.py"]


def test_a_package_counts_if_its_init_holds_code() -> None:
    files = fingerprint.import_closure("darkroom.raw.sample.notes")
    assert fingerprint.PACKAGE / "raw/sample/__init__.py" in files
    assert fingerprint.PACKAGE / "raw/__init__.py" not in files


def test_files_without_code(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    for text, expected in (("", False), ('"""Words."""', False), ('"""Words."""\nX = 1', True)):
        path.write_text(text)
        assert fingerprint.has_code(path) == expected


def test_modules_of_others_are_left_out() -> None:
    assert fingerprint.import_closure("numpy") == []


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
    with_code = {path for path in loaded if fingerprint.has_code(Path(path))}
    assert with_code <= {str(path) for path in fingerprint.import_closure(module)}

"""Fingerprints of results, and the files that a module imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.project import fingerprint
from darkroom.project.fingerprint import stage_fingerprint


def _folder(place: Path) -> Path:
    (place / "in" / "deep").mkdir(parents=True)
    (place / "in" / "a").write_text("a")
    (place / "in" / "deep" / "b").write_text("b")
    return place / "in"


def test_equal_inputs_give_equal_fingerprints_wherever_they_lie(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "x"), _folder(tmp_path / "y")
    assert stage_fingerprint("_context", {"lr": 1}, [one]) == stage_fingerprint(
        "_context", {"lr": 1}, [two]
    )


def test_params_inputs_and_stage_change_the_fingerprint(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    found = {stage_fingerprint("_context", {"lr": 1}, [folder])}
    found.add(stage_fingerprint("_context", {"lr": 2}, [folder]))
    found.add(stage_fingerprint("fetch", {"lr": 1}, [folder]))
    (folder / "a").rename(folder / "c")
    found.add(stage_fingerprint("_context", {"lr": 1}, [folder]))
    (folder / "c").write_text("changed")
    found.add(stage_fingerprint("_context", {"lr": 1}, [folder]))
    assert len(found) == 5


def test_the_packages_that_build_networks_and_choose_epochs_are_hashed() -> None:
    assert {
        "scikit-learn",
        "segmentation-models-pytorch",
        "timm",
        "torch",
        "torchvision",
    } < set(fingerprint.libraries())


def test_the_closure_of_a_leaf_is_itself_and_the_package() -> None:
    names = [
        p.relative_to(fingerprint.PACKAGE).as_posix()
        for p in fingerprint.import_closure("darkroom.errors")
    ]
    assert names == ["__init__.py", "errors.py"]


def test_imports_are_followed_and_sorted() -> None:
    names = [
        p.relative_to(fingerprint.PACKAGE).as_posix()
        for p in fingerprint.import_closure("darkroom.index.split")
    ]
    assert names == ["__init__.py", "errors.py", "index/split.py"]


def test_a_package_counts_if_its_init_holds_code() -> None:
    files = fingerprint.import_closure("darkroom.raw.sample.notes")
    assert fingerprint.PACKAGE / "raw/sample/__init__.py" in files
    assert fingerprint.PACKAGE / "raw/__init__.py" not in files


def test_files_without_code(tmp_path: Path) -> None:
    texts = {"": False, '"""Words."""': False, '"""Words."""\nX = 1': True}
    for number, (text, expected) in enumerate(texts.items()):
        path = tmp_path / f"module{number}.py"
        path.write_text(text)
        assert fingerprint.has_code(path) == expected


def test_modules_of_others_are_left_out() -> None:
    assert fingerprint.import_closure("numpy") == []


@pytest.mark.parametrize("module", ["darkroom.project.fingerprint", "darkroom.stages._context"])
def test_a_module_loads_no_file_outside_of_its_closure(module: str) -> None:
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

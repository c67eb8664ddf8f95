from pathlib import Path

from darkroom.project import files, fingerprint


def _folder(place: Path) -> Path:
    (place / "in" / "deep").mkdir(parents=True)
    (place / "in" / "a").write_text("a")
    (place / "in" / "deep" / "b").write_text("b")
    return place / "in"


def test_same_story_same_name_wherever_it_lies(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "x"), _folder(tmp_path / "y")
    assert fingerprint.of("setting", {"lr": 1}, [one]) == fingerprint.of(
        "setting", {"lr": 1}, [two]
    )


def test_params_inputs_and_stage_each_count(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    names = {fingerprint.of("setting", {"lr": 1}, [folder])}
    names.add(fingerprint.of("setting", {"lr": 2}, [folder]))
    names.add(fingerprint.of("fetch", {"lr": 1}, [folder]))
    (folder / "a").rename(folder / "c")
    names.add(fingerprint.of("setting", {"lr": 1}, [folder]))
    (folder / "c").write_text("changed")
    names.add(fingerprint.of("setting", {"lr": 1}, [folder]))
    assert len(names) == 5


def test_sha256_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert files.file_sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_every_package_that_builds_networks_counts() -> None:
    assert {"segmentation-models-pytorch", "timm", "torch", "torchvision"} < set(
        fingerprint.libraries()
    )

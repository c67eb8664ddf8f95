"""doctor: what it says of machines that have and lack things."""

import os
import stat
from pathlib import Path

import pytest

from darkroom.cli import main
from darkroom.cli.setup import doctor
from darkroom.cli.setup.doctor import Finding

ROOT = Path(__file__).parents[3]


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder, whose folder `bin` has all programs."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path


def test_a_line_says_what_is_wrong_and_what_to_do() -> None:
    assert Finding("disk", "9 GB").lines() == "ok     disk           9 GB"
    assert Finding("disk", "1 GB", "free some").lines() == (
        "note   disk           1 GB\n                      to do: free some"
    )
    assert Finding("disk", "none", "mend", is_fault=True).lines().startswith("WRONG  disk")


def test_an_empty_folder_is_told_how_to_become_a_project(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "note   params.yaml    none in this folder\n" in text
    assert "to do: `darkroom new FOLDER` makes a project" in text
    assert "ok     GPU            none of NVIDIA's" in text
    assert "note   git            not installed" in text
    assert "note   Kaggle         no account is set up" in text
    assert text.endswith("\nnothing is wrong\n")


def test_an_invalid_params_yaml_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("seed: none\n")
    assert main.main(["doctor"]) == 5
    text = capsys.readouterr().out
    assert "WRONG  params.yaml    params.yaml: " in text
    assert text.endswith("\n1 to be mended\n")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself"])
def test_a_params_yaml_that_is_no_file_is_wrong(kind: str) -> None:
    path = Path("params.yaml")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    assert doctor.project().is_fault


def report(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what is wrong; each other line must be there too."""
    assert main.main(["doctor"]) == 5
    out, err = capsys.readouterr()
    assert err == ""
    for topic in ("libraries", "git", "DVC", "Kaggle", "params.yaml"):
        assert f"  {topic} " in out
    return [line for line in out.splitlines() if line.startswith("WRONG")]


def test_a_cache_that_may_not_be_looked_into_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exists = Path.exists

    def refuse(path: Path) -> bool:
        if path.name == "cache":
            raise PermissionError(13, "Permission denied")
        return exists(path)

    monkeypatch.setattr(Path, "exists", refuse)
    (line,) = report(capsys)
    assert "cache: [Errno 13] Permission denied" in line


def test_a_home_that_is_not_there_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_CACHE", "~nosuch/x")

    def fail(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", fail)
    cache, account = report(capsys)
    assert "it cannot be looked at: there is no such user, so no home folder" in cache
    assert "WRONG  Kaggle         it cannot be looked at: Could not" in account


def test_words_of_a_program_may_be_of_any_encoding(bare: Path) -> None:
    program(bare / "bin", "nvidia-smi", "printf 'H200 \\377, 9.0\\n'")
    gpu, *_ = doctor.graphics()
    assert gpu == Finding("GPU", "H200 \ufffd, 9.0")


def test_a_valid_project_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert doctor.project() == Finding("params.yaml", "valid: carvana, celeba, banknotes")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_wrong(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (finding,) = doctor.disks(tmp_path / "cache")
    tmp_path.chmod(0o700)
    assert finding.is_fault
    assert str(tmp_path) in finding.fix


def test_a_full_disk_is_wrong_and_a_small_one_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = doctor.disks(tmp_path / "cache")
    assert f"free for {tmp_path / 'cache'}, which may be written to" in finding.text
    monkeypatch.setattr(doctor, "LEAST_DISK", 10**18)
    (finding,) = doctor.disks(tmp_path)
    assert (finding.fix, finding.is_fault) == ("free some space", False)

    def full(dir: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    (finding,) = doctor.disks(tmp_path)
    assert finding.is_fault
    assert "No space left on device" in finding.text


def test_little_shared_memory_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(doctor.shared_memory(tmp_path / "none")) == []
    monkeypatch.setattr(doctor, "LEAST_SHARED", 10**18)
    (finding,) = doctor.shared_memory(tmp_path)
    assert "docker run --shm-size=2g" in finding.fix


def test_a_token_is_found_but_never_shown(tmp_path: Path) -> None:
    secret = "KGAT_abc123"
    finding = doctor.kaggle_account({"KAGGLE_API_TOKEN": secret}, tmp_path)
    assert finding == Finding("Kaggle", "a token in KAGGLE_API_TOKEN")
    assert doctor.kaggle_account({"KAGGLE_USERNAME": "me"}, tmp_path).fix  # half of a login
    path = tmp_path / "access_token"
    path.write_text(secret)
    path.chmod(0o644)
    finding = doctor.kaggle_account({}, tmp_path)
    assert finding.text == f"a token in {path}, which others of this machine may read"
    assert finding.fix == f"chmod 600 {path}"
    path.chmod(0o600)
    assert doctor.kaggle_account({}, tmp_path) == Finding("Kaggle", f"a token in {path}")


def test_a_gpu_that_torch_cannot_use_is_wrong(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare / "bin", "nvidia-smi", "echo 'H200, 143771 MiB, 570.1, 9.0'")
    program(bare / "bin", "python", "echo 'RuntimeError: driver too old' >&2; exit 1")
    monkeypatch.setattr("sys.executable", str(bare / "bin/python"))
    monkeypatch.setattr(doctor, "_cuda_of_torch", lambda: "13.0")
    gpu, torch = doctor.graphics()
    assert gpu == Finding("GPU", "H200, 143771 MiB, 570.1, 9.0")
    assert torch.is_fault
    assert torch.text == "RuntimeError: driver too old"
    assert torch.fix.startswith("install a driver for CUDA 13.0")
    program(bare / "bin", "python", "echo '1 of them used by torch'")
    _, torch = doctor.graphics()
    assert torch == Finding("torch and GPU", "1 of them used by torch, built for CUDA 13.0")
    monkeypatch.setattr(doctor, "_cuda_of_torch", lambda: None)
    _, torch = doctor.graphics()
    assert "built for processors alone" in torch.text
    program(bare / "bin", "nvidia-smi", "echo 'no devices were found' >&2; exit 6")
    (broken,) = doctor.graphics()
    assert broken.is_fault
    assert broken.text == "nvidia-smi fails: no devices were found"


def test_what_torch_is_built_for_is_read_without_importing_it() -> None:
    import torch

    assert doctor._cuda_of_torch() == torch.version.cuda


def test_two_builds_of_opencv_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.topic for each in doctor.libraries()] == ["libraries"]
    monkeypatch.setattr(doctor, "version_of", lambda _: "5.0")
    assert "pip uninstall opencv-python " in [*doctor.libraries()][1].fix


def test_absent_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", dict.fromkeys(("train", "dvc", "7z", "dicom")))
    monkeypatch.setattr(doctor, "missing_modules", lambda extra: extra in ("dvc", "7z"))
    present, absent = doctor.extras()
    assert present.text == "train, dicom"
    assert absent.text == "not installed: dvc, 7z"

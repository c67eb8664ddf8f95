"""The preprocess stage: what an ended run leaves, what it refuses, what later stages compare."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.cli.main import main
from darkroom.stages import preprocess
from darkroom.store.preprocess import PreprocessJob, ShardResult, preprocess_shard
from tests.support import tiny
from tests.support.packed import zip_of

OUT = Path("data/processed/tiny")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tiny.project(tmp_path / "project", "masks")
    monkeypatch.chdir(root)
    tiny.run("fetch", "index")
    return root


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the shards that are made, as they are; one that is taken over is not."""
    names: list[str] = []

    def note(job: PreprocessJob) -> ShardResult:
        before = job.path.exists()
        result = preprocess_shard(job)
        if not before:
            names.append(job.path.name)
        return result

    monkeypatch.setattr(preprocess, "preprocess_shard", note)
    return names


def interrupt_at(name: str, fault: BaseException) -> Callable[[PreprocessJob], ShardResult]:
    def shard(job: PreprocessJob) -> ShardResult:
        if job.path.name == name:
            raise fault
        return preprocess_shard(job)

    return shard


def end_early(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    """Run the stage until its second shard, where it is interrupted."""
    with monkeypatch.context() as patch:
        patch.setattr(preprocess, "preprocess_shard", interrupt_at("test-00000.arrow", fault))
        assert main(["preprocess", tiny.NAME]) != 0


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: list[str],
) -> None:
    tiny.run("preprocess")
    straight = tiny.tree(root / OUT)
    assert written == ["train-00000.arrow", "test-00000.arrow"]
    for path in OUT.iterdir():
        path.unlink()
    OUT.rmdir()
    written.clear()

    end_early(monkeypatch, KeyboardInterrupt())
    assert not OUT.exists()
    capsys.readouterr()
    tiny.run("preprocess")
    assert "tiny: goes on after 1 shards of an ended run" in capsys.readouterr().out
    assert written == ["test-00000.arrow"]
    assert tiny.tree(root / OUT) == straight
    assert tiny.leftovers(root) == []


def test_other_inputs_drop_what_was_half_done(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: list[str],
) -> None:
    end_early(monkeypatch, KeyboardInterrupt())
    tiny.edit(root, lambda params: params["tiny"]["preprocess"].update(height=16))
    capsys.readouterr()
    tiny.run("preprocess")
    assert "tiny: 1 shards of an ended run are dropped" in capsys.readouterr().out
    assert written == ["train-00000.arrow", "test-00000.arrow"]
    assert tiny.leftovers(root) == []


def test_an_error_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_early(monkeypatch, OSError("no such device"))
    assert tiny.leftovers(root) == []


def test_images_swapped_between_index_and_preprocess_are_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {f"train/{n:03}.png": tiny.png(tiny.disc(99 - n)[0]) for n in range(tiny.TRAIN)}
    zip_of(root / "data/raw/tiny/train.zip", images)
    assert main(["preprocess", tiny.NAME]) != 0
    words = capsys.readouterr().err
    assert "16 of 21 images or masks cannot be used" in words
    assert "not the file that was indexed" in words


def test_masks_of_opposite_meaning_are_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    white, red = [255, 255, 255], [255, 0, 0]
    masks = {}
    for number in range(tiny.TRAIN):  # red on white, but the indices of every second one are turned
        mask = tiny.disc(number)[1]
        turned = number % 2 == 1
        indices, colours = (1 - mask, [red, white]) if turned else (mask, [white, red])
        masks[f"{number:03}_mask.png"] = _palette_png(indices, colours)
    zip_of(root / "source/masks.zip", masks)
    tiny.run("fetch", "index")
    assert main(["preprocess", tiny.NAME]) != 0
    words = capsys.readouterr().err
    assert "masks of opposite meaning" in words
    assert "is background in the mask of 00" in words


def test_later_stages_compare_what_they_read(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.run("split", "preprocess")
    for name, verb in (("train-00000.arrow", "train"), ("facts.arrow", "audit")):
        data = (OUT / name).read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        tiny.put(OUT / name, bytes(flipped))
        capsys.readouterr()
        assert main([verb, tiny.NAME]) == 6
        assert f"{OUT / name}: it is damaged, or not the one" in capsys.readouterr().err
        tiny.put(OUT / name, data)


def _palette_png(indices: tiny.Pixels, colours: list[list[int]]) -> bytes:
    picture, data = Image.fromarray(indices.astype(np.uint8), "P"), BytesIO()
    picture.putpalette([level for colour in colours for level in colour])
    picture.save(data, "PNG")
    return data.getvalue()

from pathlib import Path

import pytest

from benchmarks import celeba


def test_torchvision_opens_what_is_drawn(tmp_path: Path) -> None:
    root = celeba.torchvision_folder(tmp_path, 20, [])
    parts = {part: len(celeba.Unchecked(root, split=part)) for part in ("train", "valid", "test")}
    assert parts == {"train": 16, "valid": 2, "test": 2}
    assert celeba.Unchecked(root, split="all").attr.shape == (20, 40)


@pytest.mark.slow
def test_both_read_and_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    celeba.main(["--quick", "--faces", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "CelebA, drawn faces: no img_align_celeba.zip in" in printed
    assert "start, 600 rows:" in printed
    for name in celeba.ITEMS_OF:
        assert f"| {name} | " in printed

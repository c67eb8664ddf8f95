from pathlib import Path

import numpy as np
import pytest

from benchmarks import index_audit, scale


@pytest.mark.parametrize("layout", index_audit.LAYOUTS)
def test_pandas_reads_what_is_drawn(layout: str, tmp_path: Path) -> None:
    assert index_audit.read_and_list(scale.drawn(tmp_path, layout, 20), layout) == 20


def test_the_audit_finds_all_that_are_nearly_another() -> None:
    thumbs = index_audit.draw_thumbs(1_000)
    assert index_audit.by_us(thumbs) == 10


def test_hashes_are_compared_bit_by_bit() -> None:
    hashes = np.array([0, 2**10 - 1, 2**11 - 1], np.uint64)
    assert index_audit.count_close(hashes) == 2


def test_a_hash_says_where_a_thumbnail_brightens() -> None:
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), 16).reshape(1, 256)
    thumbs = np.concatenate([ramp, 200 - ramp])
    assert index_audit.hashes_of(thumbs).tolist() == [2**64 - 1, 0]


@pytest.mark.slow
def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    index_audit.main(["--quick"])
    printed = capsys.readouterr().out
    for name in ("table", "celeba", "Darkroom, exact", "all pairs, numpy"):
        assert f"| {name} | " in printed

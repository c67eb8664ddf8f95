"""NearDuplicates duplicates: against a plain search, on made pictures, then on real ones."""

import io
import tarfile
import zipfile
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from darkroom.index.audit import duplicates
from darkroom.index.audit.duplicates import TEST, NearDuplicates
from tests.support.realdata import REALDATA, needs_realdata

Pixels = npt.NDArray[np.uint8]
Thumbs = npt.NDArray[np.uint8]


def search(thumbs: Thumbs, sides: list[int], codes: list[int] | None = None) -> NearDuplicates:
    numbers = np.array(codes or range(len(thumbs)), np.int64)
    return duplicates.find_near_duplicates(thumbs, np.array(sides, np.int64), numbers)


def noise(seed: int = 0, contrast: float = 40) -> Thumbs:
    values = np.random.default_rng(seed).normal(128, contrast, 256)
    return np.clip(values, 0, 255).astype(np.uint8)


def test_a_pair_is_found_where_it_matters_and_with_its_distance() -> None:
    one = noise()
    two = one.copy()
    two[:64] += 4  # the root of 64 * 16 / 256
    both = np.stack([one, two])
    across = search(both, [0, 1])
    assert across.across_folds.count == 1
    assert across.across_folds.closest == [(2.0, 0, 1)]
    assert across.train_test.count == 0
    tested = search(both, [TEST, 1])
    assert tested.train_test.closest == [(2.0, 0, 1)]
    assert tested.across_folds.count == 0
    for sides in ([0, 0], [TEST, TEST]):
        near = search(both, sides)
        assert near.across_folds.count == near.train_test.count == 0
    assert search(both, [0, 1], [5, 5]).across_folds.count == 0


def test_the_limit_is_sharp() -> None:
    one = noise()
    for step, count in ((3, 1), (4, 0)):
        assert search(np.stack([one, one + np.uint8(step)]), [0, 1]).across_folds.count == count


def test_flat_pictures_do_not_match_each_other() -> None:
    shades = np.repeat(np.arange(100, 110, dtype=np.uint8)[:, None], 256, axis=1)
    near = search(shades, list(range(10)))
    assert near.flat == 10
    assert near.across_folds.count == 0


def test_dim_pictures_match_only_if_they_agree_in_what_they_show() -> None:
    one, two = noise(1, contrast=4), noise(2, contrast=4)
    assert np.sqrt(np.mean((one.astype(float) - two) ** 2)) < 7
    dim = noise(1, contrast=3)
    other, again = dim.copy(), dim.copy()
    other[:128] = noise(2, contrast=3)[:128]  # half of it shows something else
    again[:16] += 1
    assert np.sqrt(np.mean((dim.astype(float) - other) ** 2)) < duplicates.LIMIT_RMS
    near = search(np.stack([dim, other, again]), [0, 1, 2])
    assert near.flat == 0
    assert near.across_folds.closest == [(0.25, 0, 2)]


@given(seed=st.integers(0, 1000), count=st.integers(2, 60))
def test_a_plain_search_finds_the_same(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.normal(rng.uniform(60, 190, (5, 1)), 30, (5, 256))
    thumbs = kinds[rng.integers(0, 5, count)] + rng.normal(0, rng.uniform(0, 1.5), (count, 256))
    thumbs += rng.uniform(-2, 2, (count, 1))  # brighter or darker, so that means differ too
    small = np.clip(thumbs, 0, 255).astype(np.uint8)
    sides = rng.integers(-2, 3, count)
    expected = {TEST: 0, 0: 0}
    for i in range(count):
        for j in range(i):
            square = ((small[i].astype(int) - small[j]) ** 2).sum()
            if sides[i] != sides[j] and square <= 9 * 256:
                expected[TEST if TEST in (sides[i], sides[j]) else 0] += 1
    near = search(small, list(sides))
    assert near.across_folds.count == expected[0]
    assert near.train_test.count == expected[TEST]


def test_only_the_closest_pairs_are_kept_but_all_are_counted() -> None:
    one = noise()
    thumbs = np.stack([one + np.uint8(k == 9) * np.uint8(1) for k in range(10)])
    near = search(thumbs, list(range(10)))
    assert near.across_folds.count == 45
    assert len(near.across_folds.closest) == duplicates.CLOSEST
    assert near.across_folds.closest == sorted(near.across_folds.closest)
    assert near.across_folds.closest[0] == (0.0, 0, 1)


def thumb(pixels: Pixels) -> Thumbs:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8).reshape(256)


def encoded(pixels: Pixels, quality: int) -> Pixels:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def halved(pixels: Pixels) -> Pixels:
    size = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def real_pictures(which: str) -> Iterator[Pixels]:
    """Yield real pictures; of carvana the same 2 views of all 5 cars."""
    if which == "banknotes":
        for part in ("training", "validation", "test"):
            with tarfile.open(REALDATA / which / f"{part}_data_pytorch.tar.gz") as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    if file and "/._" not in member.name:
                        yield np.asarray(Image.open(file).convert("RGB"))
        return
    wanted = ("_04.jpg", "_12.jpg") if which == "carvana" else (".jpg", ".png")
    for path in sorted((REALDATA / which).glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(wanted) and "mask" not in name:
                    yield np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))


@needs_realdata
@pytest.mark.slow
@pytest.mark.parametrize("which", ["carvana", "celeba", "banknotes", "nuclei"])
def test_real_pictures_match_their_copies_and_nothing_else(which: str) -> None:
    originals = []
    copies = []
    for number, pixels in enumerate(real_pictures(which)):
        originals.append(thumb(pixels))
        if number < 40:
            copies += [thumb(encoded(pixels, 60)), thumb(encoded(halved(pixels), 75))]
    count = len(originals)
    assert count >= 10
    alone = search(np.stack(originals), list(range(count)))
    assert alone.across_folds.count == 0
    assert alone.flat == 0
    near = search(np.stack(originals + copies), list(range(count)) + [TEST] * len(copies))
    assert near.train_test.count == len(copies)

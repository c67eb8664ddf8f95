"""Raw masks by file and by run lengths, against pixels written out by hand."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import DataError
from darkroom.raw.archives import Archives, digest_of, joined_digest
from darkroom.raw.masks import (
    MaskForm,
    RawMasks,
    read_masks,
    read_objects,
    refuse_opposite_masks,
)
from tests.support.packed import zip_of
from tests.support.tiny import png

MASK = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    files = {
        "255.png": png(MASK * 255),
        "1.png": png(MASK),
        "m.gif": png(MASK, "GIF"),
        "empty.png": png(MASK * 0),
        "odd.png": png(MASK * 100),
        "tall.png": png(MASK.T),
        "cut.png": png(MASK)[:50],
    }
    zip_of(tmp_path / "m.zip", files)
    return Archives(tmp_path, tmp_path / "unpacked")


def read(archives: Archives, mask: str) -> RawMasks:
    return read_masks(archives, mask, 2, 3, name="train.zip/a.jpg")


def npy(values: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, values)
    return file.getvalue()


ARRAYS = {
    "boolean": MASK > 0,
    "a plane behind": MASK[:, :, None].astype(np.int64),
    "a plane in front": MASK[None].astype(np.float32),
    "255": MASK * 255,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_mask_may_be_an_array(tmp_path: Path, name: str) -> None:
    zip_of(tmp_path / "m.zip", {"m.npy": npy(ARRAYS[name])})
    masks = read(Archives(tmp_path, tmp_path / "unpacked"), "m.zip/m.npy")
    assert np.array_equal(masks.planes, MASK[None])
    assert masks.values == ("0/255" if name == "255" else "0/1",)


def test_the_values_of_an_array_may_be_classes(tmp_path: Path) -> None:
    zip_of(tmp_path / "m.zip", {"m.npy": npy(MASK.astype(np.uint16) * 300)})
    archives = Archives(tmp_path, tmp_path / "unpacked")
    form = MaskForm(1, {300: 0})
    masks = read_masks(archives, "m.zip/m.npy", 2, 3, form=form, name="a.jpg")
    assert np.array_equal(masks.planes, MASK[None])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npy(np.zeros((4, 6, 2))), "a mask of several planes\n  found: 2 planes"),
        (npy(MASK * 0.5), "values that are no classes\n  found: float64 from 0 to 0.5"),
        (npy(MASK - 1.0), "values that are no classes\n  found: float64 from -1 to 0"),
        (npy(MASK + np.nan), "values that are no classes"),
        (npy(MASK * 7), "7"),
        (npy(MASK.T), "the mask's size is not its image's\n  found: 2 x 3 px"),
        (npy(MASK)[:-1], "not of the size that its header claims"),
    ],
)
def test_other_arrays_are_no_masks(tmp_path: Path, data: bytes, words: str) -> None:
    zip_of(tmp_path / "m.zip", {"m.npy": data})
    assert words in refused(Archives(tmp_path, tmp_path / "unpacked"), "m.zip/m.npy")


def refused(archives: Archives, mask: str) -> str:
    with pytest.raises(DataError) as caught:
        read(archives, mask)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        ("m.zip/255.png", "0/255"),
        ("m.zip/1.png", "0/1"),
        ("m.zip/m.gif", "0/1"),
        ("rle:row 2 2 6 1", "run lengths"),
        ("rle:column 3 1 5 2", "run lengths"),
    ],
)
def test_the_same_mask_in_five_ways(archives: Archives, mask: str, values: str) -> None:
    raw_mask = read(archives, mask)
    assert raw_mask.planes.tolist() == [MASK.tolist()]
    assert raw_mask.planes.dtype == np.uint8
    assert raw_mask.unknown is None
    assert raw_mask.values == (values,)


@pytest.mark.parametrize(
    ("mask", "values"),
    [("m.zip/empty.png", "0"), ("rle:row", "run lengths"), ("rle:column", "run lengths")],
)
def test_an_empty_mask(archives: Archives, mask: str, values: str) -> None:
    raw_mask = read(archives, mask)
    assert raw_mask.planes.tolist() == [[[0, 0, 0], [0, 0, 0]]]
    assert raw_mask.values == (values,)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (
            "m.zip/tall.png",
            "m.zip/tall.png: the mask's size is not its image's\n"
            "  found: 2 x 3 px\n  expected: 3 x 2 px, as train.zip/a.jpg has",
        ),
        ("m.zip/odd.png", "m.zip/odd.png: not a mask's values\n  found: 0, 100"),
        ("m.zip/cut.png", "m.zip/cut.png: "),
        ("m.zip/none.png", "m.zip/none.png: no such file"),
        (
            "rle:row 5 3",
            "train.zip/a.jpg: its mask can't be decoded: a run goes past the last pixel, 6",
        ),
        ("rle:column 3 2 2 1", "its mask can't be decoded: a run begins before the one before"),
        ("rle:row 3", "a number without its pair"),
    ],
)
def test_what_is_no_mask_of_the_image_is_refused(archives: Archives, mask: str, words: str) -> None:
    assert words in refused(archives, mask)


@pytest.mark.parametrize(
    "values",
    [
        ["0/255", "0", "0/1", "run lengths", "", "0/65535"],
        ["#000000/#ff0000", "0", "/#ff0000", "0/255"],
        ["#000000/#000000", "#000000/#ff0000"],
    ],
)
def test_masks_that_agree_pass(values: list[str]) -> None:
    masks = [(name, [one]) for name, one in zip("abcdef", values, strict=False)]
    refuse_opposite_masks(masks)
    opposite = [("y", ["#ffffff/#00ff00"]), ("z", ["#00ff00/#ffffff"])]
    with pytest.raises(DataError, match="opposite meaning"):
        refuse_opposite_masks([*masks, *opposite])


@pytest.mark.parametrize(
    ("one", "other", "colour"),
    [
        ("#ffffff/#ff0000", "#ff0000/#ffffff", "#ff0000"),
        ("#ffffff/#ff0000", "0/255", "#ffffff"),
        ("#ff0000/", "/#ff0000", "#ff0000"),
    ],
)
def test_masks_of_opposite_meaning_are_refused(one: str, other: str, colour: str) -> None:
    with pytest.raises(DataError) as refusal:
        refuse_opposite_masks([("a", ["0/1", one]), ("b", ["0"]), ("c", [other])])
    assert "masks of opposite meaning" in str(refusal.value)
    assert f"{colour} is background in the mask of " in str(refusal.value)


CLASSES = np.array([[0, 3, 3], [7, 255, 0]], np.uint8)
FORM = MaskForm(2, {3: 0, 7: 1, 255: None})


@pytest.fixture
def several(tmp_path: Path) -> Archives:
    left, right = MASK * 0, MASK * 0
    left[:, 0], right[:, 2] = 1, 1
    files = {
        "left.png": png(left * 255),
        "right.png": png(right * 255),
        "both.png": png((left | right) * 255),
        "classes.png": png(CLASSES),
        "odd.png": png(CLASSES + (CLASSES == 7)),
        "coloured.png": png(np.stack([CLASSES, CLASSES, CLASSES * 0], axis=2)),
    }
    zip_of(tmp_path / "m.zip", files)
    palette = Image.fromarray(CLASSES, "L").convert("P")
    palette.putdata(CLASSES.ravel().tolist())
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    data = BytesIO()
    palette.save(data, "PNG")
    zip_of(tmp_path / "p.zip", {"classes.png": data.getvalue()})
    return Archives(tmp_path, tmp_path / "unpacked")


def read_several(archives: Archives, mask: object, form: MaskForm, digest: str = "") -> RawMasks:
    text = mask if isinstance(mask, str) else json.dumps(mask)
    return read_masks(archives, text, 2, 3, form=form, name="a.jpg", digest=digest)


def test_classes_of_parts_are_united(several: Archives) -> None:
    cell = [["m.zip/left.png", "m.zip/right.png"], [], ["rle:column 3 1", "m.zip/left.png"]]
    masks = read_several(several, cell, MaskForm(3))
    assert masks.planes.tolist() == [
        [[1, 0, 1], [1, 0, 1]],
        [[0, 0, 0], [0, 0, 0]],
        [[1, 1, 0], [1, 0, 0]],
    ]
    assert masks.unknown is None
    assert masks.values == ("0/255", "run lengths")
    assert np.shares_memory(masks.stored(), masks.planes)


def test_files_of_one_class_are_one_mask(several: Archives) -> None:
    both = read_several(several, "m.zip/both.png", MaskForm())
    united = read_several(several, [["m.zip/left.png", "m.zip/right.png"]], MaskForm())
    assert united.planes.tolist() == both.planes.tolist()
    assert read_several(several, [[]], MaskForm()).planes.tolist() == [[[0] * 3] * 2]


@pytest.mark.parametrize("file", ["m.zip/classes.png", "p.zip/classes.png"])
def test_values_are_classes_in_grey_or_as_indices_of_a_palette(
    several: Archives, file: str
) -> None:
    masks = read_several(several, file, FORM)
    assert masks.planes.tolist() == [[[0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 0, 0]]]
    assert masks.unknown is not None
    assert masks.unknown.tolist() == [[0, 0, 0], [0, 1, 0]]
    assert masks.values == ("values 0 3 7 255",)
    assert masks.stored().shape == (FORM.stored_planes, 2, 3)
    assert np.array_equal(masks.stored()[2], masks.unknown)


def test_two_values_of_one_class_and_no_unknown(several: Archives) -> None:
    masks = read_several(several, "m.zip/classes.png", MaskForm(2, {3: 0, 7: 1, 255: 0, 9: 1}))
    assert masks.planes[0].tolist() == [[0, 1, 1], [0, 1, 0]]
    assert masks.unknown is None


@pytest.mark.parametrize(
    ("mask", "form", "words"),
    [
        (
            "m.zip/odd.png",
            FORM,
            "m.zip/odd.png: a value of the mask is not listed in data.values\n"
            "  found: 8 (1 pixels)\n  expected: 0, 3, 7, 255\n  to do: list it in data.values",
        ),
        ("m.zip/coloured.png", FORM, "the mask is coloured\n  expected: one value a pixel: grey"),
        ("rle:row 1 2", FORM, "data.values is for masks that are one picture each"),
        ([["m.zip/left.png"], []], MaskForm(3), "another number of classes\n  found: 2"),
        ("m.zip/left.png", MaskForm(2), "another number of classes\n  found: 1\n  expected: 2"),
    ],
)
def test_masks_of_another_form_are_refused(
    several: Archives, mask: object, form: MaskForm, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_several(several, mask, form)
    assert words in str(caught.value)


def test_several_files_are_those_that_were_indexed(several: Archives) -> None:
    names = ["m.zip/left.png", "m.zip/right.png"]
    digests = [digest_of(several.read(name)) for name in names]
    cell = [names, ["rle:row 1 1"]]
    masks = read_several(several, cell, MaskForm(2), joined_digest(digests))
    assert masks.planes.sum() == 5
    with pytest.raises(DataError, match="not the mask files that were indexed"):
        read_several(several, cell, MaskForm(2), joined_digest(digests[::-1]))
    one = [["m.zip/left.png"], ["rle:row 1 1"]]
    assert read_several(several, one, MaskForm(2), joined_digest(digests[:1])).planes.sum() == 3
    with pytest.raises(DataError, match=r"m\.zip/left\.png: not the file that was indexed"):
        read_several(several, one, MaskForm(2), digests[1])


def objects(archives: Archives, mask: object, form: MaskForm) -> list[list[list[int]]]:
    text = mask if isinstance(mask, str) else json.dumps(mask)
    numbers = read_objects(archives, text, 2, 3, form=form, name="a.jpg")
    assert numbers.dtype == np.int32
    planes: list[list[list[int]]] = numbers.tolist()
    return planes


def test_each_part_is_an_object_also_where_they_touch(several: Archives) -> None:
    cell = [["rle:column 1 2", "rle:column 3 2", "m.zip/left.png"], ["m.zip/both.png"], []]
    assert objects(several, cell, MaskForm(3)) == [
        [[1, 2, 0], [1, 2, 0]],
        [[1, 0, 2], [1, 0, 2]],
        [[0, 0, 0], [0, 0, 0]],
    ]
    assert objects(several, "rle:row 1 1 3 1", MaskForm()) == [[[1, 0, 1], [0, 0, 0]]]
    assert objects(several, "m.zip/classes.png", FORM)[0] == [[0, 1, 1], [0, 0, 0]]

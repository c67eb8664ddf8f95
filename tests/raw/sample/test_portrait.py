"""Portraits: an attribute that is held can be seen where it belongs."""

import numpy as np
import pytest

from darkroom.raw.sample.brush import Canvas
from darkroom.raw.sample.face.attributes import NAMES
from darkroom.raw.sample.face.portrait import draw_portrait, encode_portrait

# a judgement, not a feature: it follows from the others
UNPAINTED = {"Attractive"}


def portrait(*held: str, seed: int = 3) -> Canvas:
    return draw_portrait({name: name in held for name in NAMES}, np.random.default_rng(seed))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in UNPAINTED])
def test_every_attribute_changes_the_picture(name: str) -> None:
    base = {"Young", "No_Beard"} if name.endswith("Hair") else {"Young", "No_Beard", "Brown_Hair"}
    base -= {name}
    # No_Beard is the absence of what grows; it is told by the others
    other = base | ({"Goatee"} if name == "No_Beard" else {name})
    one, two = portrait(*sorted(base)), portrait(*sorted(other))
    changed = np.abs(one.astype(int) - two).max(axis=2) > 24
    assert changed.sum() >= 15, f"{name} cannot be seen"


def test_hair_has_its_colour() -> None:
    blond, black = (portrait(n, "Young", "No_Beard")[30:60, 60:118] for n in NAMES[9:7:-1])
    assert blond.mean() > black.mean() + 60


def test_a_blurred_picture_is_blurred() -> None:
    sharp, soft = (portrait("Male", *extra) for extra in ((), ("Blurry",)))
    edges = [np.abs(np.diff(p.astype(int), axis=0)).mean() for p in (sharp, soft)]
    assert edges[1] < 0.75 * edges[0]


def test_portraits_have_the_file_sizes_of_the_real_ones() -> None:
    assert 4_000 < len(encode_portrait(portrait("Smiling", "Male"))) < 14_000

"""Attributes: base rates as in the real set, and nothing that cannot be."""

import numpy as np
import pandas as pd
import pytest

from darkroom.raw.sample.face.attributes import NAMES, choose_attributes

# shares of the 202,599 real faces, in the order of the list
REAL = (0.111, 0.267, 0.513, 0.205, 0.022, 0.152, 0.241, 0.235, 0.239, 0.148, 0.051, 0.205, 0.142,
        0.058, 0.047, 0.065, 0.063, 0.042, 0.387, 0.455, 0.417, 0.483, 0.042, 0.115, 0.835, 0.284,
        0.043, 0.277, 0.080, 0.066, 0.057, 0.482, 0.208, 0.320, 0.189, 0.048, 0.472, 0.123, 0.073,
        0.774)  # fmt: skip


@pytest.fixture(scope="module")
def faces() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame([choose_attributes(rng) for _ in range(4000)])


def test_there_are_the_forty_in_order(faces: pd.DataFrame) -> None:
    assert tuple(faces.columns) == NAMES
    assert len(NAMES) == 40
    assert list(NAMES) == sorted(NAMES)


def test_base_rates_are_near_the_real_ones(faces: pd.DataFrame) -> None:
    off = (faces.mean() - pd.Series(REAL, index=NAMES)).abs()
    assert off.max() < 0.035, off.sort_values().tail(3).to_dict()


def test_nothing_contradicts_itself(faces: pd.DataFrame) -> None:
    colours = faces[["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]].sum(axis=1)
    forms = faces[["Bald", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"]].sum(axis=1)
    beards = faces[["5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns"]].any(axis=1)
    assert colours.max() == 1
    assert forms.max() == 1
    assert not (faces.Bald & (faces.Bangs | (colours > 0) | faces.Wearing_Hat)).any()
    assert not (faces.Receding_Hairline & faces.Bangs).any()
    assert not (faces.No_Beard & beards).any()
    assert (faces.No_Beard | beards).all()
    assert faces.No_Beard[~faces.Male].all()
    assert not (faces.Gray_Hair & faces.Young).any()


def test_what_belongs_together_is_found_together(faces: pd.DataFrame) -> None:
    women, men = faces[~faces.Male], faces[faces.Male]
    assert women.Wearing_Lipstick.mean() > 0.7
    assert men.Wearing_Lipstick.mean() < 0.02
    smiling = faces[faces.Smiling]
    assert smiling.High_Cheekbones.mean() > 0.7
    assert smiling.Mouth_Slightly_Open.mean() > 0.65
    assert faces[faces.Young].Attractive.mean() > faces[~faces.Young].Attractive.mean() + 0.3

"""The 40 attributes of a drawn face: base rates and ties as in photographs of celebrities.

Four groups (women and men, young and not) have their own rates; what excludes or implies
something else (hair colours, beards, bald heads) is drawn as one choice.
"""

import numpy as np

NAMES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup",
    "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard",
    "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns",
    "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip

MALE_RATE = 0.417
YOUNG_RATES = (0.88, 0.63)  # of women, of men

# chances among (young women, other women, young men, other men)
RATES: dict[str, tuple[float, float, float, float]] = {
    "Arched_Eyebrows": (0.45, 0.38, 0.05, 0.05),
    "Bags_Under_Eyes": (0.09, 0.27, 0.26, 0.47),
    "Big_Lips": (0.33, 0.17, 0.17, 0.12),
    "Big_Nose": (0.08, 0.22, 0.34, 0.58),
    "Blurry": (0.05, 0.05, 0.05, 0.05),
    "Bushy_Eyebrows": (0.07, 0.05, 0.29, 0.19),
    "Chubby": (0.008, 0.08, 0.05, 0.23),
    "Eyeglasses": (0.015, 0.08, 0.06, 0.23),
    "Narrow_Eyes": (0.10, 0.15, 0.11, 0.15),
    "Oval_Face": (0.36, 0.21, 0.22, 0.14),
    "Pale_Skin": (0.06, 0.03, 0.03, 0.015),
    "Pointy_Nose": (0.36, 0.25, 0.19, 0.16),
    "Smiling": (0.54, 0.56, 0.37, 0.42),
    "Wearing_Earrings": (0.31, 0.36, 0.015, 0.01),
    "Wearing_Hat": (0.03, 0.03, 0.09, 0.06),
    "Wearing_Lipstick": (0.83, 0.71, 0.003, 0.003),
    "Wearing_Necklace": (0.21, 0.2, 0.01, 0.005),
    "Wearing_Necktie": (0.0, 0.005, 0.09, 0.31),
}
HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "")
HAIR_COLOUR_RATES = (
    (0.22, 0.25, 0.25, 0.0, 0.28),
    (0.10, 0.30, 0.17, 0.08, 0.35),
    (0.37, 0.03, 0.21, 0.0, 0.39),
    (0.21, 0.02, 0.12, 0.26, 0.39),
)
HAIR_FORMS = ("Bald", "Receding_Hairline", "Straight_Hair", "Wavy_Hair", "")
HAIR_FORM_RATES = (
    (0.0, 0.025, 0.23, 0.48, 0.265),
    (0.0, 0.08, 0.14, 0.38, 0.40),
    (0.02, 0.08, 0.23, 0.13, 0.54),
    (0.11, 0.27, 0.13, 0.07, 0.42),
)
BEARDS = ("No_Beard", "5_o_Clock_Shadow", "Goatee", "Mustache", "full", "both")
BEARD_RATES = ((0.58, 0.26, 0.05, 0.025, 0.035, 0.05), (0.63, 0.2, 0.045, 0.055, 0.035, 0.035))
BEARD_MEANS: dict[str, tuple[str, ...]] = {
    "full": ("Goatee", "Mustache", "Sideburns"),
    "both": ("Goatee", "Sideburns"),
}


def choose_attributes(rng: np.random.Generator) -> dict[str, bool]:
    """Return the 40 attributes of one face, by name, in the order of the official list."""
    male = rng.random() < MALE_RATE
    young = rng.random() < YOUNG_RATES[male]
    group = 2 * male + (not young)
    present = {name for name, rates in RATES.items() if rng.random() < rates[group]}
    present |= {name for name, is_so in (("Male", male), ("Young", young)) if is_so}
    present |= _hair(rng, present, group) | _beard(rng, male, young)
    present |= _dependent(rng, present, male, young)
    if _is_attractive(rng, present):
        present.add("Attractive")
    return {name: name in present for name in NAMES}


def _hair(rng: np.random.Generator, present: set[str], group: int) -> set[str]:
    """Choose form and colour; a hat hides most of it, a bald head has neither bangs nor colour."""
    form = str(rng.choice(HAIR_FORMS, p=HAIR_FORM_RATES[group]))
    colour = str(rng.choice(HAIR_COLOURS, p=HAIR_COLOUR_RATES[group]))
    bangs = rng.random() < (0.235, 0.2, 0.09, 0.03)[group]
    if "Wearing_Hat" in present and form in ("Bald", "Receding_Hairline"):
        form = ""
    if form == "Bald":
        return {"Bald"}
    if form == "Receding_Hairline" or "Wearing_Hat" in present:
        bangs = False
    return {name for name in (form, colour, "Bangs" if bangs else "") if name}


def _beard(rng: np.random.Generator, male: bool, young: bool) -> set[str]:
    if not male:
        return {"No_Beard"}
    kind = str(rng.choice(BEARDS, p=BEARD_RATES[0 if young else 1]))
    chosen = set(BEARD_MEANS.get(kind, (kind,)))
    if kind not in BEARD_MEANS and rng.random() < 0.05:
        chosen = (chosen | {"Sideburns"}) - {"No_Beard"}
    return chosen


def _dependent(rng: np.random.Generator, present: set[str], male: bool, young: bool) -> set[str]:
    """Choose what depends on earlier choices: smiles, cheeks, make-up, chins."""
    smiling, chubby = "Smiling" in present, "Chubby" in present
    chances = {
        "Mouth_Slightly_Open": 0.76 if smiling else 0.22,
        "High_Cheekbones": (0.86 if smiling else 0.18) - (0.14 if male else 0),
        "Double_Chin": 0.5 if chubby else (0.015 if young else 0.09),
        "Heavy_Makeup": 0.81 if "Wearing_Lipstick" in present else 0.004,
    }
    chosen = {name for name, chance in chances.items() if rng.random() < chance}
    if rng.random() < (0.15 if "Heavy_Makeup" in chosen else 0.01):
        chosen.add("Rosy_Cheeks")
    return chosen


def _is_attractive(rng: np.random.Generator, present: set[str]) -> bool:
    """A judgement that people made: it follows from looks loosely, with much noise."""
    liked = {"Young": 1.5, "Heavy_Makeup": 0.9, "Oval_Face": 0.5, "Wavy_Hair": 0.3}
    disliked = {"Male": 0.4, "Eyeglasses": 1.2, "Chubby": 1.5, "Bald": 1.0, "Blurry": 0.9,
                "Big_Nose": 0.5, "Bags_Under_Eyes": 0.3}  # fmt: skip
    score = sum(liked.get(name, 0) - disliked.get(name, 0) for name in sorted(present))
    return bool(score + rng.normal(0, 0.7) > 1.3)

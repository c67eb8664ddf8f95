"""The whole of params.yaml: its top-level keys, and the sections of a competition.

Only stages see these classes; components take plain values. The descriptions of the keys become
`params.schema.json`, which editors show beside the file.
"""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from darkroom.params.data import Data, Split
from darkroom.params.evaluate import Evaluate, Predict
from darkroom.params.model import Model
from darkroom.params.preprocess import Preprocess
from darkroom.params.section import Section
from darkroom.params.train import Train
from darkroom.project.paths import ALL

NAME = re.compile(r"[a-z][a-z0-9_]*")


class Competition(Section):
    """One competition, section by section; each section belongs to the stage of its name."""

    data: Data
    split: Split
    preprocess: Preprocess
    model: Model
    train: Train
    predict: Predict
    evaluate: Evaluate


class Transfer(Section):
    """First weights for one competition, from another's run or from a file."""

    to: str = Field(description="The competition whose `model.weights` is `given`.")
    source: str = Field(
        alias="from",
        min_length=1,
        description="A competition's models (models/celeba: fold k starts from its fold k), one "
        "model (models/celeba/fold0), or a .safetensors or .pth file.",
    )
    leakage: Literal["refuse", "allow"] = Field(
        "refuse",
        description="allow: validate on images that these weights have learned from; the scores "
        "are then marked as leaked.",
    )


class PseudoLabels(Section):
    """Test images as further training images of a section, by what another network says of them."""

    to: str = Field(description="The section that trains on them.")
    # Not of a blend: it waits for all of data/predictions, and DVC would wait in a circle.
    source: str = Field(
        alias="from",
        pattern=r"^data/predictions/[a-z][a-z0-9_]*$",
        description="data/predictions/NAME, of a section: fold k takes the predictions of the test "
        "images by its fold k.",
    )
    confidence: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Of the images to take, the least: the probability of the most probable class; "
        "of a label, present or absent; of a mask, the mean over its pixels. null: for regression, "
        "which takes all.",
    )

    @property
    def giver(self) -> str:
        """The section whose predictions they are."""
        return self.source.rsplit("/", 1)[1]


class Blend(Section):
    """Several networks of one competition, whose predictions become one."""

    name: str = Field(description="Of its predictions, reports and submission.")
    members: list[str] = Field(
        min_length=2,
        max_length=50,
        description="Sections of the same data and split. The first one's `evaluate` counts, and "
        "the size at which it stores masks.",
    )
    method: Literal["greedy", "convex", "mean", "rank", "stack"] = Field(
        "greedy",
        description="How: weights by greedy selection, or by a search on the simplex; the mean; "
        "the mean of ranks, for labels; stack: a linear model, not for masks.",
    )


class Params(Section):
    """The whole of params.yaml: any further key is a competition's name with its section."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Competition]

    seed: int = Field(ge=0, lt=2**32, description="Seeds the split, the weights and the order.")
    competitions: list[str] = Field(
        min_length=1, max_length=200, description="The sections that `dvc repro` runs."
    )
    folds: list[Annotated[int, Field(ge=0)] | Literal["all"]] = Field(
        min_length=1,
        max_length=101,
        description="The folds to train; each validates on its own part. all: one more network, "
        "that learns from every training image; it predicts the test images with the others.",
    )
    transfers: list[Transfer] = Field(
        max_length=200,
        description="Runs and files that first weights come from: {to: ..., from: ...}.",
    )

    blends: list[Blend] = Field(
        max_length=100,
        description="Several sections' predictions as one: {name: ..., members: [...]}.",
    )

    pseudo_labels: list[PseudoLabels] = Field(
        max_length=200,
        description="Predictions of test images to train on, too: {to: ..., from: ..., "
        "confidence: ...}.",
    )

    def section(self, name: str) -> Competition:
        """Return the section of a competition; KeyError if there is none."""
        return self.__pydantic_extra__[name]

    def transfer(self, name: str) -> Transfer | None:
        """Return the entry of `transfers` for a competition, if there is one."""
        return next((each for each in self.transfers if each.to == name), None)

    def pseudo_labels_of(self, name: str) -> PseudoLabels | None:
        """Return the entry of `pseudo_labels` for a competition, if there is one."""
        return next((each for each in self.pseudo_labels if each.to == name), None)

    def blend(self, name: str) -> Blend | None:
        """Return the entry of `blends` of a name, if there is one."""
        return next((each for each in self.blends if each.name == name), None)

    @property
    def sections(self) -> dict[str, Competition]:
        """Return every competition's section, by name."""
        return self.__pydantic_extra__


MOST_LETTERS = 100  # with what stages add to it, the name of a file has at most 255
_OTHERS = (*Params.model_fields, ALL)  # words that mean something else in params.yaml


def name_fault(name: str) -> str | None:
    """Return why a section or a blend can't have this name; None: it can.

    Example:
        >>> name_fault("cactus_2"), name_fault("Cactus")
        (None, "is lower-case letters, digits and _, found 'Cactus'")
    """
    if not NAME.fullmatch(name):
        return f"is lower-case letters, digits and _, found {quote(name)}"
    if len(name) > MOST_LETTERS:
        return f"has at most {MOST_LETTERS} letters, found {len(name)}: {quote(name)}"
    if name in _OTHERS:
        return f"is none of {', '.join(_OTHERS)}, found {name!r}"
    return None


def no_section(name: str, sections: Collection[str]) -> str:
    """Return the words about a name without a section: the most similar one, or all there are."""
    near = get_close_matches(name, sections, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sections)}"
    return f"{quote(name)} has no section; {hint}"


def quote(name: str) -> str:
    """Return a name in quotes, cut beyond 60 letters."""
    return repr(name if len(name) <= 60 else f"{name[:57]}…")

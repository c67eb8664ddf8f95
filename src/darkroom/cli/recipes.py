"""Recipes: complete parameter sections in files of their own, with what to expect of them.

A recipe is YAML like params.yaml. Its own key `recipe` says what it is for:

    recipe:
      for: Carvana on a laptop
      expected: {time: 10 min, score: dice 0.97, basis: measured, source: four cars, two cores}
      data: keep                 # or replace: then its `data` sections count, not the user's
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from darkroom.errors import ParamsError
from darkroom.params import file as paramfile

HEADER = "recipe"
BASES = ("measured", "estimated")
Raw = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Args:
        name: The file's name, without its ending.
        file: Where it lies.
        text: The whole file.
        keys: What it says of params.yaml: its content without the key `recipe`.
        purpose: What it is for, in a line.
        time: What to expect of the clock; empty where it does not say.
        score: And of the score.
        basis: Whether these were measured or estimated.
        replaces_data: Whether its `data` sections count even where params.yaml has its own.
    """

    name: str
    file: Path
    text: str
    keys: Raw
    purpose: str
    time: str
    score: str
    basis: str
    replaces_data: bool

    @property
    def expected(self) -> str:
        """The time and the score in words, or nothing."""
        figures = ", ".join(part for part in (self.time, self.score) if part)
        return f"{figures} ({self.basis})" if figures else ""


def find(word: str, folder: Path) -> Path:
    """Return the file that a word means: the path of a YAML file, or a name in the folder.

    Raises:
        ParamsError: There is none; the nearest name is told.
    """
    path = Path(word)
    if path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
        if path.is_file():
            return path
        raise ParamsError("there is no such file", file=word)
    if (named := folder / f"{word}.yaml").is_file():
        return named
    names = [file.stem for file in _files(folder)]
    near = get_close_matches(word, names, n=1, cutoff=0.4)
    raise ParamsError(
        "there is no recipe of this name",
        found=word,
        expected=", ".join(names) if names else f"a file of the folder {folder}",
        fix=f"did you mean {near[0]}?" if near else "`darkroom use` lists them",
    )


def read_all(folder: Path) -> list[Recipe]:
    """Return the recipes of a folder, by name."""
    return [read(file) for file in _files(folder)]


def read(file: Path) -> Recipe:
    """Return a recipe.

    Raises:
        ParamsError: It is not a mapping of YAML, or its head is not as above.
    """
    keys = paramfile.read_mapping(file)
    head = _words(file, HEADER, keys.pop(HEADER, {}), {"for": "", "expected": {}, "data": "keep"})
    plain = {"time": "", "score": "", "basis": BASES[1], "source": ""}
    expected = _words(file, f"{HEADER}.expected", head["expected"], plain)
    _one_of(file, f"{HEADER}.expected.basis", expected["basis"], BASES)
    _one_of(file, f"{HEADER}.data", head["data"], ("keep", "replace"))
    return Recipe(
        name=file.stem,
        file=file,
        text=file.read_text(encoding="utf-8"),
        keys=keys,
        purpose=head["for"],
        time=str(expected["time"]),
        score=str(expected["score"]),
        basis=expected["basis"],
        replaces_data=head["data"] == "replace",
    )


def merged(old: Mapping[str, Any], recipe: Recipe) -> Raw:
    """Return the parameters with a recipe's in the place of theirs, section by section.

    A section of the recipe stands for the whole section: what it does not say is left out, so
    that a recipe means the same whatever stood there. `data` alone stays as it is, unless
    there is none or the recipe replaces it.
    """
    new: Raw = dict(old)
    for key, value in recipe.keys.items():
        here = old.get(key)
        if isinstance(value, dict) and isinstance(here, dict):
            keeps_data = "data" in here and not recipe.replaces_data
            kept = {"data": here["data"]} if keeps_data else {}
            new[key] = {**here, **value, **kept}
        else:
            new[key] = value
    return new


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def _words(file: Path, path: str, given: Any, known: Raw) -> Raw:
    if not isinstance(given, dict) or not set(given) <= set(known):
        raise ParamsError(
            f"`{path}` is not as it must be", file=file, found=given, expected=", ".join(known)
        )
    return known | given


def _one_of(file: Path, path: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParamsError(
            f"`{path}` is not as it must be",
            file=file,
            found=value,
            expected=" or ".join(allowed),
        )

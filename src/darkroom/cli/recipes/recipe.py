"""Recipes: complete sections of params.yaml in files of their own, with the score to expect.

A recipe is YAML like params.yaml. Its own key `recipe` says what it is for:

    recipe:
      for: Carvana on a laptop
      expected: {time: 10 min, score: dice 0.97, basis: measured, source: four cars, two cores}
      data: keep                 # or replace: its `data` sections replace the user's
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from darkroom.errors import ParamsError
from darkroom.params import document
from darkroom.project.files import matching_files

HEADER = "recipe"
BASES = ("measured", "estimated")
Raw = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Args:
        name: The file's name, without its ending.
        file: Its path.
        text: The whole file.
        keys: Its content without the key `recipe`: keys of params.yaml.
        purpose: One line.
        time: The time to expect; empty if it does not say.
        score: The score to expect; empty if it does not say.
        basis: "measured" or "estimated".
        replaces_data: Whether its `data` sections replace those of params.yaml.
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
        """The time and the score in words, or an empty text."""
        return f"{self.figures} ({self.basis})" if self.figures else ""

    @property
    def figures(self) -> str:
        """The time and the score without what they rest on, or an empty text."""
        return ", ".join(part for part in (self.time, self.score) if part)

    @property
    def task(self) -> str:
        """The task of its last competition, or an empty text if it does not say."""
        return str(self._data.get("task", ""))

    @property
    def metric(self) -> str:
        """What the judge of its last competition counts, or an empty text."""
        return str(self._data.get("metric") or "")

    @property
    def _data(self) -> Raw:
        """The last `data` section, which an unchecked file may have in any form."""
        sections = [each for each in self.keys.values() if isinstance(each, dict)]
        data = sections[-1].get("data") if sections else None
        return data if isinstance(data, dict) else {}


def find_recipe(name: str, folders: Sequence[Path]) -> Path:
    """Return a recipe's file, by its path or by its name in the first folder that has it.

    Raises:
        ParamsError: There is none; the message has the nearest name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
        if path.is_file():
            return path
        raise ParamsError("there is no such file", file=name)
    files = _files(folders)
    if name in files:
        return files[name]
    names = sorted(files)
    near = [each for each in names if name.lower() in each.lower()]
    near = (near or get_close_matches(name, names))[:3]
    raise ParamsError(
        "there is no recipe of this name",
        found=name,
        expected=f"one of the {len(names)} that `darkroom use` lists, or a YAML file",
        fix=f"did you mean {' or '.join(near)}?" if near else None,
    )


def read_recipes(folders: Sequence[Path]) -> list[Recipe]:
    """Return the recipes of folders, by name; of one name, that of the first folder."""
    return [read_recipe(file) for _, file in sorted(_files(folders).items())]


def read_recipe(file: Path) -> Recipe:
    """Return a recipe.

    Raises:
        ParamsError: It is not a YAML mapping, or its key `recipe` is invalid.
    """
    text = document.read_text(file)
    keys = document.parse_mapping(text, file=file)
    head = _section(file, HEADER, keys.pop(HEADER, {}), {"for": "", "expected": {}, "data": "keep"})
    defaults = {"time": "", "score": "", "basis": BASES[1], "source": ""}
    expected = _section(file, f"{HEADER}.expected", head["expected"], defaults)
    _check_value(file, f"{HEADER}.expected.basis", expected["basis"], BASES)
    _check_value(file, f"{HEADER}.data", head["data"], ("keep", "replace"))
    return Recipe(
        name=file.stem,
        file=file,
        text=text,
        keys=keys,
        purpose=head["for"],
        time=str(expected["time"]),
        score=str(expected["score"]),
        basis=expected["basis"],
        replaces_data=head["data"] == "replace",
    )


def merge_recipe(old: Mapping[str, Any], recipe: Recipe) -> Raw:
    """Return the parameters with the sections of a recipe in place of theirs.

    A section is replaced as a whole, so that a recipe means the same whatever was there before.
    Only `data` is kept, unless it is missing or the recipe replaces it. A new section whose `data`
    is another one's in the recipe gets that one's `data` of params.yaml: it is the same
    competition.

    Args:
        old: The content of params.yaml.
        recipe: The recipe.
    """
    new: Raw = dict(old)
    for key, value in recipe.keys.items():
        sections = old.get(key)
        if isinstance(value, dict) and isinstance(sections, dict):
            keeps_data = "data" in sections and not recipe.replaces_data
            data = {"data": sections["data"]} if keeps_data else {}
            new[key] = {**sections, **value, **data}
        elif isinstance(value, dict) and key not in old:
            new[key] = value | _data_of_others(value, old, recipe)
        else:
            new[key] = value
    return new


def _data_of_others(section: Raw, old: Mapping[str, Any], recipe: Recipe) -> Raw:
    """Return the `data` of params.yaml that a new section shares, or nothing."""
    for key, other in recipe.keys.items():
        users = old.get(key)
        if recipe.replaces_data or not isinstance(other, dict) or not isinstance(users, dict):
            continue
        if "data" in users and "data" in section and other.get("data") == section["data"]:
            return {"data": users["data"]}
    return {}


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the files by name; of one name, that of the first folder."""
    return {
        file.stem: file for folder in reversed(folders) for file in matching_files(folder, "*.yaml")
    }


def _section(file: Path, path: str, section: Any, defaults: Raw) -> Raw:
    """Return a section with the defaults of what it leaves out."""
    if not isinstance(section, dict) or not set(section) <= set(defaults):
        raise ParamsError(
            f"`{path}` is invalid", file=file, found=section, expected=", ".join(defaults)
        )
    return defaults | section


def _check_value(file: Path, path: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParamsError(
            f"`{path}` is invalid",
            file=file,
            found=value,
            expected=" or ".join(allowed),
        )

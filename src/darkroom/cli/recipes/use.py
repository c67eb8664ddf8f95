"""Take a recipe into params.yaml, comments and all; or list the recipes."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import (
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
)

from darkroom.cli.recipes.edit import changes, edit
from darkroom.cli.recipes.recipe import (
    Recipe,
    find_recipe,
    merge_recipe,
    read_recipe,
    read_recipes,
)
from darkroom.errors import ParamsError, ResourceError
from darkroom.params import document
from darkroom.params import file as paramfile
from darkroom.params.competition import Params
from darkroom.params.section import TaskName
from darkroom.project import files
from darkroom.project.paths import PARAMS

CATALOGUE = Path(__file__).parent / "catalogue"
RECIPES = (Path("recipes"), CATALOGUE)  # the user's own, and those that ship
BOM = "\ufeff"
TERMINAL = 80  # characters of a line in a list

_COMMENT = re.compile(r"(?:^|\s)#")


def run(recipe: str | None = None) -> None:
    """Merge a recipe into params.yaml, or list the recipes.

    Args:
        recipe: A name in the folder `recipes`, or of those that ship, or the path of a YAML file;
            None: list them.

    Raises:
        ParamsError: params.yaml or the recipe is invalid; nothing is written.
        ResourceError: params.yaml is read-only.
    """
    if recipe is None:
        print(_table(read_recipes(RECIPES)))
        return
    chosen = read_recipe(find_recipe(recipe, RECIPES))

    path = Path(PARAMS).resolve()  # of a link, the file itself
    paramfile.read_params(Path(PARAMS))
    if not os.access(path, os.W_OK):
        raise ResourceError("it may not be written to", file=PARAMS, fix=f"chmod u+w {PARAMS}")
    original = document.read_text(path)
    text = original.removeprefix(BOM).replace("\r\n", "\n")
    old = document.parse_mapping(text, file=PARAMS)

    merged = merge_recipe(old, chosen)
    params = paramfile.validate_params(merged, file=chosen.file)
    new = _with_defaults(old, merged, params)
    try:
        _refuse_comments_in_flow(text)
        edited = edit(text, new, chosen.text)
    except YAMLError as error:  # some texts only the parser above can read
        raise ParamsError(
            "a recipe can't be merged into it",
            file=PARAMS,
            found=str(error).splitlines()[0],
            fix="write it, and the recipe, without tabs, or edit by hand",
        ) from error
    result = _result(edited, old, new)

    mode = stat.S_IMODE(path.stat().st_mode)
    files.write(path, _with_ends_of(original, edited), mode=mode)
    print(_summary(chosen, changes(old, result)))


def _with_defaults(old: dict[str, Any], merged: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return the merged parameters, the keys that the recipe leaves out set to their defaults.

    So their lines and comments stay in the file.
    """
    new = dict(merged)
    for name in params.sections.keys() & old.keys():
        typed = params.section(name).model_dump(by_alias=True)
        new[name] = {}
        for section, keys in merged[name].items():
            defaults = {
                key: typed[section][key] for key in old[name][section] if key in typed[section]
            }
            new[name][section] = keys if section == "data" else defaults | keys
    return new


def _result(edited: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an edited text, once they are those intended.

    What the recipe changes in a section may change in one that inherits from it (`<<: *other`).

    Raises:
        ParamsError: The text does not mean `new`; or what a section inherits is invalid there.
    """
    try:
        result = document.parse_mapping(edited, file=PARAMS)
    except ParamsError:
        result = {}
    own = {key for key in new if new[key] != old.get(key)}
    lines = {line for key in own for line in changes(old.get(key, {}), new[key], depth=2)}
    heirs = {
        key: result[key]
        for key in new.keys() - own
        if key in result and lines.issuperset(changes(old[key], result[key], depth=2))
    }
    expected = paramfile.validate_params({**new, **heirs}, file=PARAMS)
    try:
        is_intended = paramfile.validate_params(result, file=PARAMS) == expected
    except ParamsError:
        is_intended = False
    if not is_intended:
        raise ParamsError(
            "a recipe can't be merged into it",
            file=PARAMS,
            found="values shared by aliases (*), or a layout other than key: value lines",
            fix="write out what is shared, or edit by hand",
        )
    return result


def _refuse_comments_in_flow(text: str) -> None:
    """Refuse comments between the lines of `{...}` or `[...]`, which ruamel does not keep."""
    lines, starts = text.split("\n"), list[int]()
    for token in YAML(typ="safe", pure=True).scan(text):
        if isinstance(token, FlowMappingStartToken | FlowSequenceStartToken):
            starts.append(token.start_mark.line)
        elif isinstance(token, FlowMappingEndToken | FlowSequenceEndToken):
            for number in range(starts.pop(), token.end_mark.line):
                if _COMMENT.search(lines[number]):
                    raise ParamsError(
                        "a recipe can't be merged into it",
                        file=PARAMS,
                        row=number + 1,
                        found=lines[number].strip(),
                        expected="no comment between the lines of {...} or [...]",
                        fix="move the comment above its key",
                    )


def _with_ends_of(original: str, edited: str) -> str:
    """Return a text with the byte order mark and the line ends of the one that it comes from.

    A new line ends as the first one does.
    """
    lines = original.removeprefix(BOM).splitlines(keepends=True)
    plain = [line.removesuffix("\n").removesuffix("\r") for line in lines]
    new = edited.split("\n")
    ends = ["\r\n" if lines and lines[0].endswith("\r\n") else "\n"] * len(new)
    for start, other, size in SequenceMatcher(
        None, plain, new, autojunk=False
    ).get_matching_blocks():
        for step in range(size):
            ends[other + step] = lines[start + step][len(plain[start + step]) :] or ends[0]
    body = "".join(line + end for line, end in zip(new[:-1], ends, strict=False)) + new[-1]
    return f"{BOM if original.startswith(BOM) else ''}{body}"


def _summary(recipe: Recipe, changed: list[str]) -> str:
    if not changed:
        return f"{PARAMS} is already as {recipe.name} has it"
    lines = [*changed, ""]
    if recipe.expected:
        lines.append(f"expect {recipe.expected}")
    return "\n".join([*lines, "run it: dvc repro"])


def _table(found: list[Recipe]) -> str:
    tasks: list[str] = [*get_args(TaskName), ""]
    rank = {task: number for number, task in enumerate(tasks)}
    by_kind = sorted(found, key=lambda each: (rank.get(each.task, len(tasks)), each.metric))
    lines = []
    for task, group in groupby(by_kind, key=lambda each: each.task):
        lines += ["", task or "of your own data", *_lines(list(group))]
    lines += [
        "",
        "darkroom use NAME takes one into params.yaml. NAME.yaml says more, in recipes or",
        str(CATALOGUE),
    ]
    return "\n".join(lines[1:])


def _lines(group: Sequence[Recipe]) -> list[str]:
    """Return a line a recipe: name, metric, time and score, and the purpose where it fits.

    A line that would be too long is not aligned with the others.
    """
    cells = [(each.name, each.metric, each.figures) for each in group]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for each, row in zip(group, cells, strict=True):
        line = "".join(
            f"  {cell:{width}}" for cell, width in zip(row, widths, strict=True) if width
        )
        forms = (f"{line}  {each.purpose}", line, "  " + "  ".join(filter(None, row)))
        lines.append(next((form for form in forms if len(form) <= TERMINAL), forms[-1]).rstrip())
    return lines

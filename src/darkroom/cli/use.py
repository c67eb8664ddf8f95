"""Take a recipe into params.yaml, comments and all; or list the recipes."""

import os
from pathlib import Path
from typing import Any

import yaml

from darkroom.cli import recipes, yaml_edit
from darkroom.errors import ParamsError, ResourceError
from darkroom.params import file as paramfile
from darkroom.params.competition import Params
from darkroom.project import files
from darkroom.project.paths import PARAMS

RECIPES = Path("recipes")


def run(recipe: str | None = None) -> None:
    """Merge a recipe, or list them all."""
    if recipe is None:
        print(_listing(recipes.read_all(RECIPES)))
        return
    chosen = recipes.read(recipes.find(recipe, RECIPES))

    file = Path(PARAMS).resolve()  # of a link, the file itself
    paramfile.read(Path(PARAMS))
    if not os.access(file, os.W_OK):
        raise ResourceError("it may not be written to", file=PARAMS, fix=f"chmod u+w {PARAMS}")
    mode = file.stat().st_mode
    written = file.read_bytes().decode("utf-8")
    text = written.replace("\r\n", "\n")
    old = yaml.safe_load(text)

    merged = recipes.merged(old, chosen)
    params = paramfile.validate(merged, file=chosen.file)
    new = _with_defaults(old, merged, params)
    edited = yaml_edit.edit(text, new, chosen.text)
    _check(edited, params)

    files.write(file, edited if text == written else edited.replace("\n", "\r\n"))
    file.chmod(mode)
    print(_told(chosen, yaml_edit.changes(old, new)))


def _with_defaults(old: dict[str, Any], merged: dict[str, Any], params: Params) -> dict[str, Any]:
    """Keep the lines whose keys a recipe leaves out, where they have a default: set to that."""
    new = dict(merged)
    for name in params.sections.keys() & old.keys():
        typed = params.section(name).model_dump(by_alias=True)
        new[name] = {}
        for section, keys in merged[name].items():
            known = [key for key in old[name][section] if key in typed[section]]
            defaults = {key: typed[section][key] for key in known}
            new[name][section] = keys if section == "data" else defaults | keys
    return new


def _check(edited: str, params: Params) -> None:
    """Refuse an edit that means something else than was meant."""
    try:
        found = paramfile.validate(yaml.safe_load(edited))
    except (yaml.YAMLError, ParamsError):
        found = None
    if found != params:
        raise ParamsError(
            "a recipe can't be merged into it",
            file=PARAMS,
            found="values shared by anchors (&, *, <<), or a layout other than key: value lines",
            fix="write out what is shared, or edit by hand",
        )


def _told(recipe: recipes.Recipe, changes: list[yaml_edit.Change]) -> str:
    if not changes:
        return f"{PARAMS} is already as {recipe.name} has it"
    lines = [*(str(change) for change in changes), ""]
    if recipe.expected:
        lines.append(f"expect {recipe.expected}")
    return "\n".join([*lines, "run it: dvc repro"])


def _listing(known: list[recipes.Recipe]) -> str:
    if not known:
        raise ParamsError("there are no recipes", file=RECIPES, fix="run in the project's root")
    widths = [max(len(getattr(each, key)) for each in known) for key in ("name", "expected")]
    return "\n".join(
        f"{each.name:{widths[0]}}  {each.expected:{widths[1]}}  {each.purpose}".rstrip()
        for each in known
    )

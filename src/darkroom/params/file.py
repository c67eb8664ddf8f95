"""Read and validate params.yaml: all errors at once, each with its key path and the nearest key."""

import json
import reprlib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from darkroom.errors import ParamsError
from darkroom.params.competition import Params
from darkroom.params.document import read_mapping
from darkroom.params.networks import backbone_fault
from darkroom.params.rules.whole import broken_rules

Location = tuple[str | int, ...]

LISTS = ("transfers", "blends", "pseudo_labels")  # dvc.yaml reads them, even if empty
KEY_ERRORS = ("extra_forbidden", "missing")  # of a key that the schema or the file lacks
# Keys that an earlier version had in a section, and what to write instead.
REPLACED = {
    "data": {
        "format": "remove it: all competitions are described in one form; the shipped params.yaml "
        "has examples",
        "image_path": 'write it as image, with columns in braces: image: "train.zip/{image}.png"',
        "mask_path": 'write it as mask, with columns in braces: mask: "masks.zip/{image}.png"',
        "rle_order": "write runs: {order: column}",
        "leave_out": 'write where in train, valid or test: where: {image: "!.DS_Store"}',
        "columns": "write {2} in image for a column by position, and targets: [3]",
        "quality": "write the archives into files, image and mask: "
        "files: train_hq/{car}_{view}.jpg",
        "delimiter": 'write it beside its table: table: {table: train.csv, delimiter: ";"}',
    },
    "evaluate": {
        "batch_size": "remove it: predict.batch_size counts; predict alone asks the networks",
        "accelerator": "remove it: predict.accelerator counts; predict alone asks the networks",
        "tta": "write it in predict, which alone asks the networks: predict: {tta: [hflip]}",
        "scales": "write it in predict, which alone asks the networks: predict: {scales: [1.0]}",
        "tiles": "write it in predict, which alone asks the networks: "
        "predict: {tiles: {height: 512, width: 512}}",
    },
}
MAX_WORDS = 12  # allowed words that fit a line
MAX_FAULTS = 100  # for which a message is made: each is compared with the allowed keys


def read_params(path: Path) -> Params:
    """Return the parameters of a file.

    Raises:
        ParamsError: The file is absent or not YAML, or some of its keys and values are invalid;
            all of these are listed at once.
    """
    return validate_params(read_mapping(path), file=path)


def validate_params(raw: dict[str, Any], *, file: object = "params.yaml") -> Params:
    """Return typed parameters.

    Args:
        raw: The mapping in the file.
        file: The file, for the message.

    Raises:
        ParamsError: Keys or values are invalid; all of these are listed at once.
    """
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        schema = Params.model_json_schema()
        errors = error.errors(include_url=False)
        details = _deepest(errors[:MAX_FAULTS], raw)
        messages = [_message(detail, raw, schema) for detail in details]
        faults = _merged(messages + _null_messages(details, raw, schema))
        more = len(errors) > MAX_FAULTS
        raise ParamsError(_count(faults, more=more), file=file, details=faults) from error
    faults = broken_rules(params)
    if faults:
        raise ParamsError(_count(faults), file=file, details=faults)
    return params


def schema_text() -> str:
    """Return the JSON schema of params.yaml, as params.schema.json holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema | Params.model_json_schema(), indent=2) + "\n"


def _count(faults: list[str], *, more: bool = False) -> str:
    if len(faults) == 1 and not more:
        return "1 key or value is wrong"
    return f"{f'more than {len(faults)}' if more else len(faults)} keys or values are wrong"


def _deepest(details: list[ErrorDetails], raw: Any) -> list[ErrorDetails]:
    """Drop the errors about a value as a whole if there are errors about something inside it.

    A union reports one error for each of its types.
    """
    paths = [_path(detail["loc"], raw) for detail in details]
    return [
        detail
        for detail, path in zip(details, paths, strict=True)
        if detail["type"] in KEY_ERRORS or not any(_inside(other, path) for other in paths)
    ]


def _inside(path: str, other: str) -> bool:
    return path.startswith((f"{other}.", f"{other}["))


def _merged(messages: list[str]) -> list[str]:
    """Join the messages about one value: a union reports one for each of its types."""
    joined: dict[str, list[str]] = {}
    for message in messages:
        value, _, complaint = message.partition("; ")
        joined.setdefault(value, []).append(complaint)
    return [
        f"{value}; {', or '.join(dict.fromkeys(complaints))}" if complaints[0] else value
        for value, complaints in joined.items()
    ]


def _message(detail: ErrorDetails, raw: Any, schema: dict[str, Any]) -> str:
    """Return the message for one of pydantic's errors: key path, found, allowed, nearest."""
    path = _path(detail["loc"], raw)
    found = _shown(detail["input"])
    kind = detail["type"]
    if kind == "extra_forbidden":
        section = path.split(".")[1] if "." in path else ""
        if words := REPLACED.get(section, {}).get(str(detail["loc"][-1])):
            return f"{path}: this key is gone: {words}"
        if words := _of_others(detail["loc"], schema):
            return f"{path}: {words}"
        near = _elsewhere(detail["loc"], raw, schema) or _nearest(detail["loc"], schema)
        return f"{path}: unknown key{near}"
    if kind == "missing":
        hint = f"; for none write {path}: []" if path in LISTS else ""
        return f"{path}: this key is missing{hint}"
    if len(detail["loc"]) == 1 and kind == "model_type":
        near = _nearest(detail["loc"], schema)
        return f"{path}: unknown key, and no section of a competition; found {found}{near}"
    if kind == "union_tag_not_found":
        tag = str(detail["ctx"]["discriminator"]).strip("'")
        return f"{path}.{tag}: this key is missing"
    if kind == "union_tag_invalid":
        tag = str(detail["ctx"]["discriminator"]).strip("'")
        return f"{path}.{tag}: found {detail['ctx']['tag']!r}{_allowed(detail)}"
    if kind == "string_pattern_mismatch":
        return f"{path}: found {found}; input should be {_meaning(_node(detail['loc'], schema))}"
    return f"{path}: found {found}; {_complaint(detail)}"


def _meaning(node: dict[str, Any]) -> str:
    """Return the description of a text in the schema, to show it instead of a pattern."""
    choices = [choice for choice in node.get("anyOf", []) if "pattern" in choice]
    text = next((each["description"] for each in (*choices, node) if "description" in each), "")
    return f"{text[:1].lower()}{text[1:].rstrip('.')}"


def _complaint(detail: ErrorDetails) -> str:
    """Return the expected value, in the words of YAML."""
    kind = detail["type"]
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return "input should be a mapping: {key: value}"
    if kind == "list_type":
        return "input should be a list: [...]"
    if kind in ("too_short", "too_long"):
        least, most = (detail["ctx"].get(key) for key in ("min_length", "max_length"))
        what = "mapping" if isinstance(detail["input"], dict) else "list"
        return f"input should be a {what} of {f'{least} or more' if least else f'at most {most}'}"
    if kind == "string_type" and isinstance(detail["input"], dict):
        fields = [f"{{{name}}}" for name, value in detail["input"].items() if value is None]
        return f"input should be a text{f' in quotes: {fields[0]!r}' if fields else ''}"
    if kind == "string_type" and "where" in detail["loc"]:
        return (
            f"input should be a text in quotes, as the cells are written: {str(detail['input'])!r}"
        )
    words = detail["msg"].partition(" or instance of")[0]
    hint = " (what transfers names)" if detail["loc"][-1] == "weights" else ""
    return f"{words[0].lower()}{words[1:]}{hint}"


def _null_messages(details: list[ErrorDetails], raw: Any, schema: dict[str, Any]) -> list[str]:
    """Return a message for each wrong value that may be null too: pydantic does not say so."""
    return [
        f"{_path(detail['loc'], raw)}: found {_shown(detail['input'])}; null"
        for detail in details
        if detail["type"] not in KEY_ERRORS
        and {"type": "null"} in _node(detail["loc"], schema).get("anyOf", [])
    ]


def _allowed(detail: ErrorDetails) -> str:
    """Return the allowed words, or the nearest ones if they are many."""
    tag = str(detail["ctx"]["tag"])
    if detail["loc"][-1] == "model" and backbone_fault(tag) is None:
        return f", a network of timm: {{name: timm, backbone: {tag}}}"
    words = [word.strip(" '") for word in detail["ctx"]["expected_tags"].split(",")]
    if len(words) <= MAX_WORDS:
        return f", allowed {', '.join(map(repr, words))}"
    near = get_close_matches(tag, words, n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"; allowed are {len(words)} names, which params.schema.json lists{hint}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"


def _path(loc: Location, raw: Any) -> str:
    """Return the key path in the file: pydantic inserts the names of a union's types."""
    names: list[str] = []
    for position, key in enumerate(loc):
        is_present = (isinstance(raw, dict) and key in raw) or (
            isinstance(raw, list) and isinstance(key, int)
        )
        last = position == len(loc) - 1 and isinstance(raw, dict) and not _is_union_type(key)
        if not is_present and not last:
            continue
        names.append(f"[{key}]" if isinstance(key, int) else f".{key}")
        raw = raw[key] if is_present else None
    return "".join(names).removeprefix(".")


def _is_union_type(key: str | int) -> bool:
    """Return whether a location is pydantic's name for a type of a union, not a key."""
    return isinstance(key, str) and (
        "[" in key or key.startswith("constrained-") or key in ("str", "int", "float", "bool")
    )


def _nearest(loc: Location, schema: dict[str, Any]) -> str:
    allowed = _allowed_keys(loc[:-1], schema)
    near = get_close_matches(str(loc[-1]), allowed, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(allowed)}"


def _elsewhere(loc: Location, raw: Any, schema: dict[str, Any]) -> str:
    """Return where a key of this name stands: in a mapping above this one, or beside or below."""
    name = str(loc[-1])
    for depth in range(len(loc) - 1, -1, -1):
        path, allowed = _path(loc[:depth], raw), _allowed_keys(loc[:depth], schema)
        if name in allowed:
            return f"; did you mean {f'{path}.{name}'.lstrip('.')}?"
        keys = [key for key in allowed if name in _allowed_keys((*loc[:depth], key), schema)]
        if keys and depth:
            return f"; did you mean {' or '.join(f'{path}.{key}.{name}' for key in keys)}?"
    return ""


def _of_others(loc: Location, schema: dict[str, Any]) -> str:
    """Return which kinds of a section have a key that the one chosen by its `name` lacks."""
    mapping = _node(loc[:-2], schema).get("discriminator", {}).get("mapping", {})
    defs = schema["$defs"]
    kinds = [
        kind
        for kind, place in mapping.items()
        if loc[-1] in defs[place.rsplit("/", 1)[-1]]["properties"]
    ]
    if not kinds:
        return ""
    shown = [*kinds[:5], *([f"{len(kinds) - 5} more"] if len(kinds) > 5 else [])]
    keys = ", ".join(_allowed_keys(loc[:-1], schema))
    return f"{loc[-2]} has no such key ({', '.join(shown)} has); its own are {keys}"


def _allowed_keys(loc: Location, schema: dict[str, Any]) -> list[str]:
    """Return the keys that the schema allows at a location."""
    return list(_resolved(_node(loc, schema), schema).get("properties", {}))


def _node(loc: Location, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema's node at a location."""
    node = schema
    for key in loc:
        node = _resolved(node, schema)
        if _is_union_type(key):
            continue
        if isinstance(key, int):
            node = node.get("items", {})
        elif key in node.get("properties", {}):
            node = node["properties"][key]
        elif "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"].get(key, "")}
        elif isinstance(node.get("additionalProperties"), dict):
            node = node["additionalProperties"]
    return node


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"].get(node["$ref"].rsplit("/", 1)[-1], {})
    for choice in node.get("anyOf", []):
        if "$ref" in choice or isinstance(choice.get("additionalProperties"), dict):
            return _resolved(choice, schema)
    return node

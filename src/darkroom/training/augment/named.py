"""Transforms of albumentations by name, with their arguments; what cannot be used is refused.

The library warns of an argument that it doesn't know, and goes on without: here that is an error.
"""

import difflib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
from pydantic import ValidationError

from darkroom.errors import ParamsError

Choice = Sequence[Mapping[str, Mapping[str, Any] | None]]
"""Such as [{"HorizontalFlip": {"p": 0.5}}, {"OneOf": {"transforms": [...], "p": 0.3}}]."""

KEY = "train.augment"
GROUPS = ("OneOf", "SomeOf", "RandomOrder", "Sequential")
"""Transforms made of others, which are listed under `transforms`."""

_ADVICE = r".*(special case of|specialized version of|is an alias for|augmenter is very slow)"
"""Warnings that recommend another transform."""

_BOXES = "it follows boxes, and there are none"
_OTHERS = "it mixes in other pictures, and sees one at a time"
_BYTES = "pictures stay bytes from 0 to 255: the network's device scales them"
_ABSENT = {
    "AtLeastOneBBoxRandomCrop": _BOXES,
    "BBoxSafeRandomCrop": _BOXES,
    "ConstrainedCoarseDropout": _BOXES,
    "RandomCropNearBBox": _BOXES,
    "RandomSizedBBoxSafeCrop": _BOXES,
    "FDA": _OTHERS,
    "HistogramMatching": _OTHERS,
    "Mosaic": _OTHERS,
    "OverlayElements": _OTHERS,
    "PixelDistributionAdaptation": _OTHERS,
    "FromFloat": _BYTES,
    "Normalize": _BYTES,
    "ToFloat": _BYTES,
    "ToTensor3D": _BYTES,
    "ToTensorV2": _BYTES,
    "ToRGB": "pictures are RGB already",
    "Lambda": "it takes functions, which a file of parameters cannot hold",
    "TextImage": "it writes words that it is given beside the picture, and there are none",
    "OneOrOther": "write OneOf",
    "Compose": "the list is one already; write Sequential within a OneOf",
    "ReplayCompose": "the list is one already",
    "SelectiveChannelTransform": "it moves the picture and leaves the mask where it was",
}


def names() -> list[str]:
    """Return the transforms that may be named, in alphabetical order, `GROUPS` among them."""
    kinds = (A.DualTransform, A.ImageOnlyTransform)
    found = [
        name
        for name, kind in vars(A).items()
        if inspect.isclass(kind)
        and issubclass(kind, kinds)
        and not issubclass(kind, A.Transform3D)
        and kind not in kinds
        and name not in _ABSENT
    ]
    return sorted([*found, *GROUPS])


def transforms(choice: Choice, where: str = KEY) -> list[Any]:
    """Return the transforms that a list names, in order.

    Args:
        choice: One name an entry, with its arguments.
        where: Which list it is, as errors tell.

    Raises:
        ParamsError: An entry of another shape; a name, an argument or a value that cannot be.
    """
    entries: object = choice
    if not isinstance(entries, list | tuple):
        raise ParamsError(
            f"{where} is no list of transforms",
            file="params.yaml",
            found=entries,
            expected="such as [{HorizontalFlip: {p: 0.5}}, {GaussNoise: {p: 0.2}}]",
        )
    return [_transform(entry, where) for entry in choice]


def _transform(entry: Any, where: str) -> Any:
    name, given = _parts(entry, where)
    kind = vars(A).get(name)
    if name in _ABSENT or (inspect.isclass(kind) and issubclass(kind, A.Transform3D)):
        raise ParamsError(
            f"{where}: {name} cannot be used here",
            file="params.yaml",
            found=name,
            expected=f"a transform of one picture: {_ABSENT.get(name, 'it changes volumes')}",
            fix=f"take {name} out of {KEY}",
        )
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        raise ParamsError(
            f"{where}: albumentations has no transform of this name",
            file="params.yaml",
            found=name,
            expected=f"one of its {len(names())} transforms, such as HorizontalFlip",
            fix=f"did you mean {near[0]}?" if near else None,
        )
    maker = getattr(A, name)
    _check_arguments(name, maker, given, where)
    if name in GROUPS:
        given = given | {"transforms": transforms(given["transforms"], f"{where}: {name}")}
    return _made(name, maker, given, where)


def _parts(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of an entry."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, given),) = entry.items()
        given = {} if given is None else given
        if isinstance(name, str) and isinstance(given, Mapping):
            return name, dict(given)
    raise ParamsError(
        f"{where}: each entry is one transform by name, with its arguments",
        file="params.yaml",
        found=entry,
        expected="such as {Rotate: {limit: [-10, 10], p: 0.5}}",
    )


def _check_arguments(name: str, maker: Any, given: Mapping[str, Any], where: str) -> None:
    """Refuse arguments that the transform doesn't take, or lacks."""
    known = inspect.signature(maker).parameters
    allowed = [key for key in known if key != "strict"]
    for key in given:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            raise ParamsError(
                f"{where}: {name} has no argument {key!r}",
                file="params.yaml",
                found=key,
                expected=", ".join(allowed),
                fix=f"did you mean {near[0]}?" if near else None,
            )
    absent = [
        key for key in allowed if known[key].default is inspect.Parameter.empty and key not in given
    ]
    if absent:
        raise ParamsError(
            f"{where}: {name} needs {' and '.join(absent)}",
            file="params.yaml",
            found=", ".join(map(str, given)) or "no arguments",
            expected="; ".join(_kind(maker, key) for key in absent),
        )


def _made(name: str, maker: Any, given: dict[str, Any], where: str) -> Any:
    try:
        if name in GROUPS:
            _check_group(given)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it warns where it changes what it was given
            warnings.filterwarnings("ignore", _ADVICE)
            return maker(**given)
    except Exception as error:  # whatever a transform's own checks raise
        cause = error.__cause__
        faults = cause.errors() if isinstance(cause, ValidationError) else []
        wrong = sorted({str(fault["loc"][0]) for fault in faults if fault["loc"]})
        raise ParamsError(
            f"{where}: {name} does not take this" + (f" as {', '.join(wrong)}" if wrong else ""),
            file="params.yaml",
            details=[str(fault["msg"]) for fault in faults] or [str(error) or type(error).__name__],
            found=", ".join(f"{key}: {given.get(key)!r}" for key in wrong) or None,
            expected="; ".join(_kind(maker, key) for key in wrong) or None,
        ) from error


def _kind(maker: Any, key: str) -> str:
    """Return an argument and what it takes, in the library's words."""
    if key == "transforms":
        return "transforms: a list like the one it stands in"
    return f"{key}: {inspect.signature(maker).parameters[key].annotation}"


def _check_group(given: Mapping[str, Any]) -> None:
    """Refuse what the library's groups, unlike its transforms, take without a look."""
    if not given["transforms"]:
        raise ValueError("transforms: there are none")
    p = given.get("p", 1)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ValueError(f"p: {p!r} is not from 0 to 1")
    n = given.get("n", 1)
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n: {n!r} is not 1 or more")
    if not any(member.p for member in given["transforms"]):
        raise ValueError("transforms: each has p: 0")

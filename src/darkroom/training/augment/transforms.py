"""Transforms of albumentations by name with their arguments.

The library only warns of an argument that it does not know, and ignores it; here it is an error.
"""

import difflib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
from pydantic import ValidationError

from darkroom.errors import ParamsError

TransformList = Sequence[Mapping[str, Mapping[str, Any] | None]]
"""Such as [{"HorizontalFlip": {"p": 0.5}}, {"OneOf": {"transforms": [...], "p": 0.3}}]."""

KEY = "train.augment"
GROUPS = ("OneOf", "SomeOf", "RandomOrder", "Sequential")
"""Transforms made of others, which are listed under `transforms`."""

_ADVICE = r".*(special case of|specialized version of|is an alias for|augmenter is very slow)"
"""Warnings that recommend another transform."""

_BOXES = "it follows boxes, and there are none"
_OTHERS = "it needs other pictures, and gets one at a time"
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


def transform_names() -> list[str]:
    """Return the transforms that may be named, in alphabetical order, `GROUPS` among them."""
    kinds = (A.DualTransform, A.ImageOnlyTransform)
    names = [
        name
        for name, kind in vars(A).items()
        if inspect.isclass(kind)
        and issubclass(kind, kinds)
        and not issubclass(kind, A.Transform3D)
        and kind not in kinds
        and name not in _ABSENT
    ]
    return sorted([*names, *GROUPS])


def named_transforms(choice: TransformList, where: str = KEY) -> list[Any]:
    """Return the transforms that a list names, in order.

    Args:
        choice: One name an entry, with its arguments.
        where: The list's place in params.yaml, for errors.

    Raises:
        ParamsError: An entry of another shape; a name, an argument or a value that is invalid.
    """
    entries: object = choice
    if not isinstance(entries, list | tuple):
        raise ParamsError(
            f"{where} is not a list of transforms",
            file="params.yaml",
            found=entries,
            expected="such as [{HorizontalFlip: {p: 0.5}}, {GaussNoise: {p: 0.2}}]",
        )
    return [_transform(entry, where) for entry in choice]


def _transform(entry: Any, where: str) -> Any:
    name, arguments = _name_and_arguments(entry, where)
    kind = vars(A).get(name)
    if name in _ABSENT or (inspect.isclass(kind) and issubclass(kind, A.Transform3D)):
        raise ParamsError(
            f"{where}: {name} cannot be used here",
            file="params.yaml",
            found=name,
            expected=f"a transform of one picture: {_ABSENT.get(name, 'it changes volumes')}",
            fix=f"take {name} out of {KEY}",
        )
    if name not in transform_names():
        near = difflib.get_close_matches(name, transform_names(), n=1)
        raise ParamsError(
            f"{where}: albumentations has no transform of this name",
            file="params.yaml",
            found=name,
            expected=f"one of its {len(transform_names())} transforms, such as HorizontalFlip",
            fix=f"did you mean {near[0]}?" if near else None,
        )
    maker = getattr(A, name)
    _check_arguments(name, maker, arguments, where)
    if name in GROUPS:
        arguments = arguments | {
            "transforms": named_transforms(arguments["transforms"], f"{where}: {name}")
        }
    return _create(name, maker, arguments, where)


def _name_and_arguments(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of an entry."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, arguments),) = entry.items()
        arguments = {} if arguments is None else arguments
        if isinstance(name, str) and isinstance(arguments, Mapping):
            return name, dict(arguments)
    raise ParamsError(
        f"{where}: each entry is one transform by name, with its arguments",
        file="params.yaml",
        found=entry,
        expected="such as {Rotate: {limit: [-10, 10], p: 0.5}}",
    )


def _check_arguments(name: str, maker: Any, arguments: Mapping[str, Any], where: str) -> None:
    """Refuse arguments that the transform doesn't take, or lacks."""
    parameters = inspect.signature(maker).parameters
    allowed = [key for key in parameters if key != "strict"]
    for key in arguments:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            raise ParamsError(
                f"{where}: {name} has no argument {key!r}",
                file="params.yaml",
                found=key,
                expected=", ".join(allowed),
                fix=f"did you mean {near[0]}?" if near else None,
            )
    unset = inspect.Parameter.empty
    required = [key for key in allowed if parameters[key].default is unset]
    absent = [key for key in required if key not in arguments]
    if absent:
        raise ParamsError(
            f"{where}: {name} needs {' and '.join(absent)}",
            file="params.yaml",
            found=", ".join(map(str, arguments)) or "no arguments",
            expected="; ".join(_kind(maker, key) for key in absent),
        )


def _create(name: str, maker: Any, arguments: dict[str, Any], where: str) -> Any:
    try:
        if name in GROUPS:
            _check_group(arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it warns where it changes what it was given
            warnings.filterwarnings("ignore", _ADVICE)
            return maker(**arguments)
    except Exception as error:  # whatever a transform's own checks raise
        cause = error.__cause__
        faults = cause.errors() if isinstance(cause, ValidationError) else []
        wrong = sorted({str(fault["loc"][0]) for fault in faults if fault["loc"]})
        raise ParamsError(
            f"{where}: {name} does not take this" + (f" as {', '.join(wrong)}" if wrong else ""),
            file="params.yaml",
            details=[str(fault["msg"]) for fault in faults] or [str(error) or type(error).__name__],
            found=", ".join(f"{key}: {arguments.get(key)!r}" for key in wrong) or None,
            expected="; ".join(_kind(maker, key) for key in wrong) or None,
        ) from error


def _kind(maker: Any, key: str) -> str:
    """Return an argument and what it takes, in the library's words."""
    if key == "transforms":
        return "transforms: a list like the one it stands in"
    return f"{key}: {inspect.signature(maker).parameters[key].annotation}"


def _check_group(arguments: Mapping[str, Any]) -> None:
    """Refuse what the library's groups, unlike its transforms, take without a look."""
    if not arguments["transforms"]:
        raise ValueError("transforms: there are none")
    p = arguments.get("p", 1)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ValueError(f"p: {p!r} is not from 0 to 1")
    n = arguments.get("n", 1)
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n: {n!r} is not 1 or more")
    if not any(member.p for member in arguments["transforms"]):
        raise ValueError("transforms: each has p: 0")

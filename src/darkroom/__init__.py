"""Darkroom: a folder of competition images, turned into a checked Kaggle submission.

Example::

    import darkroom

    predictor = darkroom.load("models/celeba")
    probabilities = predictor([picture])  # uint8 (H, W, 3), of any size
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom.deploy.predictor import Predictor, load

__all__ = ("Predictor", "load")


def __getattr__(name: str) -> Any:
    """Import what the package hands out when it is first used: torch takes seconds."""
    if name in __all__:
        return getattr(import_module("darkroom.deploy.predictor"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

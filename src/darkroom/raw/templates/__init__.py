"""Templates of texts and paths: fields that columns fill, or that a text is taken apart into."""

from darkroom.raw.templates.places import is_container
from darkroom.raw.templates.template import Template

__all__ = ("Template", "is_container")

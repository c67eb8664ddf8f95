"""Templates of texts and paths: fields that columns fill, or that a text is taken apart into."""

from darkroom.raw.templates.template import Template

__all__ = ("Template",)

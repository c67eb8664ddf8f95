"""The rules of names: of sections and blends, which become names of files and stages."""

from collections.abc import Collection
from difflib import get_close_matches

from darkroom.params.competition import NAME, Params
from darkroom.project.paths import ALL

MOST_LETTERS = 100  # with what stages add to it, the name of a file has at most 255
_OTHERS = (*Params.model_fields, ALL)  # words that mean something else in params.yaml


def name_fault(name: str) -> str | None:
    """Return why a section or a blend can't have this name; None: it can.

    Example:
        >>> name_fault("cactus_2"), name_fault("Cactus")
        (None, "is lower-case letters, digits and _, found 'Cactus'")
    """
    if not NAME.fullmatch(name):
        return f"is lower-case letters, digits and _, found {quote(name)}"
    if len(name) > MOST_LETTERS:
        return f"has at most {MOST_LETTERS} letters, found {len(name)}: {quote(name)}"
    if name in _OTHERS:
        return f"is none of {', '.join(_OTHERS)}, found {name!r}"
    return None


def no_section(name: str, sections: Collection[str]) -> str:
    """Return the words about a name without a section: the most similar one, or all there are."""
    near = get_close_matches(name, sections, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sections)}"
    return f"{quote(name)} has no section; {hint}"


def quote(name: str) -> str:
    """Return a name in quotes, cut beyond 60 letters."""
    return repr(name if len(name) <= 60 else f"{name[:57]}…")

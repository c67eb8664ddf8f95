"""The page: sections of blocks, put into one HTML file that needs no host and runs no script.

Blocks are the macros of `templates/blocks.html`. What comes from files is text; jinja2 escapes it.
"""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from darkroom.images import sheets
from darkroom.images.sheets import Colour, Pixels

JPEG_QUALITY = 88
NONE = "–"  # a figure that is not defined
MINUS = "−"


@dataclass(frozen=True)
class Finding:
    """A sentence at the head of the page.

    Attributes:
        kind: "bad": something is wrong or worse; "good"; "note".
        text: The sentence.
        place: The id of the section that shows more.
    """

    kind: str
    text: str
    place: str


@dataclass(frozen=True)
class Section:
    """A part of the page, under a heading.

    Attributes:
        id: Of its heading.
        title: The heading.
        lead: A sentence or two below it.
        blocks: HTML, in order.
        findings: What it says at the head of the page.
    """

    id: str
    title: str
    lead: str = ""
    blocks: Sequence[Markup] = ()
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Tile:
    """A large figure at the head of the page.

    Attributes:
        label: What it is.
        value: The figure.
        note: A line below it.
        kind: "bad", "good" or "".
    """

    label: str
    value: str
    note: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: Its text.
        kind: "", or classes of the style sheet: number, good, bad, faint.
        bar: 0 to 1, a bar beside the text; None: no bar.
        tick: 0 to 1, a mark on the bar, of a baseline; None: no mark.
        heat: 0 to 1, how much of a colour lies behind the text; None: no colour.
        badge: A word in a frame behind the text.
    """

    text: str
    kind: str = ""
    bar: float | None = None
    tick: float | None = None
    heat: float | None = None
    badge: str = ""


Row = Sequence[Cell | str]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Its heading.
        subtitle: A line below it.
        tiles: Large figures.
        sections: In order.
    """

    title: str
    subtitle: str
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = field(default_factory=tuple)


def render(page: Page) -> str:
    """Return a page as the text of an HTML file."""
    findings = [finding for section in page.sections for finding in section.findings]
    order = {"bad": 0, "good": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.kind])
    template = _environment().get_template("page.html")
    return template.render(page=page, findings=findings, colours=_css_colours())


def table(
    caption: str, head: Sequence[str], rows: Iterable[Row], *, kind: str = "", more: str = ""
) -> Markup:
    """Return a table; the first cell of a row is its header.

    Args:
        caption: Its title, which screen readers say first.
        head: The titles of its columns.
        rows: The cells; a text stands for a number where it looks like one.
        kind: "matrix" for a confusion, "wide" for long texts.
        more: A line below it.
    """
    cells = [[_cell(each) for each in row] for row in rows]
    columns = list(zip(*cells, strict=True)) or [()] * len(head)
    kinds = ["number" if k and _is_number(each) else "" for k, each in enumerate(columns)]
    titles = list(zip(head, kinds, strict=True))
    return _block("table", caption=caption, head=titles, rows=cells, kind=kind, more=more)


def picture(pixels: Pixels, alt: str, caption: str = "", *, id: str = "") -> Markup:
    """Return a picture, as a JPEG in the page.

    Args:
        pixels: uint8 (H, W, C).
        alt: What it shows, in words.
        caption: Below it.
        id: If it is given, a link shows the picture alone at its own size.
    """
    height, width = pixels.shape[:2]
    options = {"source": jpeg_address(pixels), "alt": alt, "caption": caption, "id": id}
    return _block("picture", height=height, width=width, **options)


def figure(drawing: Markup, caption: str = "") -> Markup:
    """Return a drawing with a caption."""
    return _block("figure", drawing=drawing, caption=caption)


def group(blocks: Sequence[Markup], kind: str = "columns") -> Markup:
    """Return blocks beside each other where the window is wide enough."""
    return _block("group", blocks=blocks, kind=kind)


def article(title: str, blocks: Sequence[Markup], *, note: str = "", kind: str = "") -> Markup:
    """Return blocks under a heading of the third level."""
    return _block("article", title=title, blocks=blocks, note=note, kind=kind)


def details(summary: str, blocks: Sequence[Markup]) -> Markup:
    """Return blocks that a click or a key opens."""
    return _block("details", summary=summary, blocks=blocks)


def text_list(items: Sequence[str], kind: str = "") -> Markup:
    """Return a list of sentences."""
    return _block("text_list", items=items, kind=kind)


def paragraph(text: str, kind: str = "") -> Markup:
    """Return a paragraph."""
    return _block("paragraph", text=text, kind=kind)


def number(value: object, digits: int = 4) -> str:
    """Return a figure as a text, a dash where it is not defined.

    Example:
        >>> number(0.89551), number(12000), number(None), number(3.0e-05), number(-0.5, 2)
        ('0.8955', '12,000', '–', '3.00e−05', '−0.50')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NONE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    small = value != 0 and abs(value) < 10**-digits
    return (f"{value:.2e}" if small else f"{value:,.{digits}f}").replace("-", MINUS, 1)


def signed(value: float, digits: int = 4) -> str:
    """Return a difference with its sign.

    Example:
        >>> signed(0.01), signed(-0.01), signed(0.0)
        ('+0.0100', '−0.0100', '±0.0000')
    """
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return f"±{text}"
    return f"{'+' if value > 0 else MINUS}{text}"


def first_names(names: Sequence[str], most: int = 8) -> str:
    """Return names in a sentence, the first of many.

    Example:
        >>> first_names(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "image"), plural(1200, "class")
        ('1 image', '1,200 classes')
    """
    ending = "es" if noun.endswith(("s", "x", "ch")) else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def css(colour: Colour) -> str:
    """Return a colour as a style sheet has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def jpeg_address(pixels: Pixels) -> str:
    """Return a picture as a `data:` address."""
    encoded = BytesIO()
    options = {"quality": JPEG_QUALITY, "subsampling": 0, "optimize": True}
    Image.fromarray(sheets.as_rgb(pixels)).save(encoded, "JPEG", **options)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _css_colours() -> Mapping[str, str]:
    """Return the colours of the sheets, by their names in the style sheet."""
    colours = {
        "paper": sheets.PAPER,
        "ink": sheets.INK,
        "faint": sheets.FAINT,
        "accent": sheets.ACCENT,
        "right": sheets.RIGHT,
        "excess": sheets.EXCESS,
        "missed": sheets.MISSED,
    }
    return {name: css(colour) for name, colour in colours.items()}


def _cell(value: Cell | str) -> Cell:
    if isinstance(value, Cell):
        return value
    is_number = re.fullmatch(r"[+±−]?[\d,]*\.?\d+(e[-−+]\d+)?( ?%)?|–", value) is not None
    return Cell(value, "number" if is_number else "")


def _is_number(column: Sequence[Cell]) -> bool:
    return bool(column) and all("number" in cell.kind and cell.bar is None for cell in column)


def _block(name: str, **values: Any) -> Markup:
    macro = cast(
        Callable[..., Markup], getattr(_environment().get_template("blocks.html").module, name)
    )
    return macro(**values)


_ENVIRONMENT: list[Environment] = []


def _environment() -> Environment:
    """Return the templates; what is not defined in them is an error."""
    if not _ENVIRONMENT:
        _ENVIRONMENT.append(
            Environment(
                loader=PackageLoader("darkroom.cli.report"),
                autoescape=True,
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
                keep_trailing_newline=True,
            )
        )
    return _ENVIRONMENT[0]

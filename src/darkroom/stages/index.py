"""index: raw tables and archive listings -> one row an image."""

from darkroom.index import table
from darkroom.index.formats import contract
from darkroom.stages import _context


def run(name: str) -> None:
    """Read a competition's raw tables into the canonical table."""
    here = _context.read(name)
    paths, data = here.paths, here.section.data

    format, options = contract.of(data)
    raw = _context.require(paths.raw, "fetch", name)
    made = format.index(raw, paths.spool, options)
    table.write(made, paths.index, paths.card)

    parts = made.rows["part"].value_counts()
    print(f"{name}: {made.card.task}, {parts['train']} training and {parts['test']} test images")

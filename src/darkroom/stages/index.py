"""index: raw tables and archive listings -> one row an image."""

from darkroom.index import table
from darkroom.index.formats import contract
from darkroom.params.data import Data
from darkroom.stages._context import Context, require


def run(context: Context) -> None:
    """Read a competition's raw tables into the canonical table."""
    name, paths = context.name, context.paths
    data: Data = context.section.data

    format, options = contract.of(data)
    raw = require(paths.raw, "fetch", name)
    made = format.index(raw, paths.spool, options)
    table.write(made, paths.index, paths.card)

    parts = made.rows["part"].value_counts()
    print(f"{name}: {made.card.task}, {parts['train']} training and {parts['test']} test images")

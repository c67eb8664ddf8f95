"""index: raw tables and archive listings -> one row an image."""

from darkroom import index
from darkroom.stages import adapter, setting


def run(name: str) -> None:
    """Read a competition's raw tables into the canonical table."""
    here = setting.read(name)
    paths, data = here.paths, here.section.data

    format, options = adapter.of(data)
    raw = setting.require(paths.raw, "fetch", name)
    made = format.index(raw, paths.spool, options)
    index.write(made, paths.index, paths.card)

    parts = made.rows["part"].value_counts()
    print(f"{name}: {made.card.task}, {parts['train']} training and {parts['test']} test images")

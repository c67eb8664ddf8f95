"""index: raw tables and archive listings -> one row an image."""

from darkroom.index.formats.adapter import load_adapter
from darkroom.index.table import write_index
from darkroom.params.data import AnyData
from darkroom.raw.archives import Archives
from darkroom.stages._context import Context, require


def run(context: Context) -> None:
    """Write the index of a competition: its raw files as one table of images."""
    name, paths = context.name, context.paths
    data: AnyData = context.section.data

    archives = Archives(require(paths.raw, "fetch", name), paths.unpacked)
    index = load_adapter(data.format).build_index(archives, data)
    write_index(index, paths.index, paths.card)

    counts = index.rows["part"].value_counts()
    print(f"{name}: {index.card.task}, {counts['train']} training and {counts['test']} test images")

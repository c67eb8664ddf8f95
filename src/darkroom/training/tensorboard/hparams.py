"""The table of runs: a run's parameters, and the figures of its selected epoch."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)

from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


# The table sorts its columns by name and folds away all but the first: a capital comes first.
BEST = "Best epoch"


class Hparams(Callback):
    """Writes the run's row of the table of hyperparameters after its last epoch.

    Its validation metrics have tags of their own, `Best epoch/<name>`, because the table
    shows the last value of a tag, and the last epoch is seldom the best. The table's
    columns are not listed: with one run's list TensorBoard would hide the columns of the others.

    Args:
        facts: Names to numbers, words, or mappings of such; see `flat`.
    """

    def __init__(self, events: EventWriter, facts: Mapping[str, object]) -> None:
        self.events, self.facts = events, facts

    def on_epoch_end(self, loop: "Loop") -> None:
        """Write the row, if this epoch was the last: before its checkpoint, so only once."""
        if not loop.should_stop and len(loop.history) != loop.config.epochs:
            return
        row = loop.selected
        # One after the last: a training that was killed before its checkpoint and goes on
        # hides these figures and writes them again.
        step = loop.batches_seen + 1
        validated = [name for name in row if name.endswith("/val")]
        figures = {f"{BEST}/{name.removesuffix('/val')}": row[name] for name in validated}
        figures[f"{BEST}/epoch"] = row["epoch"]
        if validated and loop.module.metric is not None:
            # A bracket comes before the letters of the others.
            name = loop.module.metric.name
            figures[f"Best ({name})"] = figures.pop(f"{BEST}/{name}")
        self.events.add_scalars(figures, step)
        self.events.add(session(self.facts), step)


def session(facts: Mapping[str, object]) -> Summary:
    """Return the summary that makes a run one of the table's."""
    start, end = SessionStartInfo(), SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    for name, value in flat(facts):
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    data = {
        metadata.SESSION_START_INFO_TAG: HParamsPluginData(session_start_info=start),
        metadata.SESSION_END_INFO_TAG: HParamsPluginData(session_end_info=end),
    }
    return Summary(
        value=[
            Summary.Value(
                tag=tag,
                tensor=metadata.NULL_TENSOR,
                metadata=metadata.create_summary_metadata(content),
            )
            for tag, content in data.items()
        ]
    )


def flat(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """Yield (name, value): names of nested mappings joined by points, all else as words."""
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{prefix}{name}", value
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)

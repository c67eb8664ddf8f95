"""The scores of evaluate in TensorBoard: of all folds as one, and of masks at full size.

They stand beside the trainings as a run of their own, `runs/<competition>/evaluate`, whose tags are
`full size/<metric>`. Nothing of torch is imported: evaluate is quick.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from darkroom.project import files

PREFIX = "events.out.tfevents"


def write_scores(log_dir: Path, scores: Mapping[str, float | None]) -> None:
    """Write scores in place of those of an earlier evaluation.

    The file gets another name each time: TensorBoard goes on reading where it was in an old one.
    A disk that is full ends with a line, as the scores themselves are written already.

    Args:
        log_dir: Of the run.
        scores: By name; those that are not defined are left out, and so are baselines.
    """
    now = time.time()
    version = Event(file_version="brain.Event:2", wall_time=now)
    events = [version, Event(summary=full_size_summary(scores), wall_time=now, step=0)]
    name = f"{PREFIX}.{now:.6f}"
    try:
        files.make_folder(log_dir)
        old = [path for path in log_dir.iterdir() if path.name.startswith(PREFIX)]
        with files.atomic_write(log_dir / name) as part, part.open("wb") as stream:
            records = RecordWriter(stream)
            for event in events:
                records.write(event.SerializeToString())
        for path in old:
            with suppress(OSError):
                path.unlink()
    except OSError as error:
        print(
            f"TensorBoard lacks these scores, as {log_dir} could not be written: "
            f"{error.strerror or error}",
            file=sys.stderr,
        )


def full_size_summary(scores: Mapping[str, float | None]) -> Summary:
    """Return scores as TensorBoard's scalars; see `write_scores`.

    Example:
        >>> [value.tag for value in full_size_summary({"dice": 0.5, "baseline_dice": 0.1}).value]
        ['full size/dice']
    """
    return Summary(
        value=[
            Summary.Value(tag=f"full size/{name}", simple_value=score)
            for name, score in scores.items()
            if score is not None and not name.startswith("baseline_")
        ]
    )

"""Predictions on disk: what networks said of each image, so that nothing asks them twice.

An Arrow IPC file, which standard tools read (`pyarrow.ipc.open_file`), bodies compressed with zstd.
Columns: `id` utf8; `prediction`; `height` and `width` int32 of the original image, px. A prediction
is a fixed_size_list of K float32 for labels, classes and values; float16 for more than 1,000
probabilities; for masks the bytes (large_binary) of uint8 (K, H, W) at the stored size.

A mask's probability p is stored as 255 p, rounded to the nearest, halves down. So a stored
probability exceeds k/256 exactly where its byte is k or more: the 255 thresholds of
`darkroom.prediction.thresholds` tell all bytes apart, and one half is where it was.

The schema's metadata holds the `Header`, with a checksum. The metadata of each record batch holds a
digest of its rows, their place and the header, so that no changed byte is taken for a prediction.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.images.geometry import FITS, Fit
from darkroom.params.section import TaskName
from darkroom.project import files
from darkroom.project.checked_json import CHECKSUM, checksum, parse_json
from darkroom.project.journal import Journal
from darkroom.project.processes import map_ahead

Part = Literal["valid", "test"]
Floats = NDArray[np.float32]

VERSION = 1
HALF_COLUMNS = 1000  # more probabilities than these are stored as float16
_HEADER, _DIGEST = b"darkroom", b"digest"
_DIGEST_BYTES = 16
_LEVELS = 255
_WRITTEN_LATE = 2  # batches that are computed but not written
_MOST_VALUES = 2**31  # of an axis, as Arrow counts them
_LEAST_HALF = np.float16(2**-24)  # a probability that is not 0 stays so: its logarithm counts
_FAULTS = (OSError, pa.ArrowException, MemoryError, ValueError, TypeError, KeyError)


class Prediction(NamedTuple):
    """The predictions of one batch.

    Attributes:
        ids: Of n images.
        probabilities: float32: (n, K, H, W) for masks, at the stored size; (n, K) for the other
            tasks, values instead of probabilities for regression.
        originals: int64 (n, 2): heights and widths of the original images.
    """

    ids: list[str]
    probabilities: Floats
    originals: NDArray[np.int64]


@dataclass(frozen=True)
class Header:
    """What a file of predictions is of.

    Attributes:
        part: "valid": the images that the fold validates; "test": those to submit.
        task: A name of `darkroom.tasks.table.TASKS`.
        shape: Of a prediction: (K,), or (K, H, W) for masks, px.
        rows: How many images there are.
        fit: How the images were fitted to the stored size.
        fingerprint: Of all that the predictions come from.
        leaked: The ids of the images that the networks had learned before their own training.
        facts: What else its readers compare; JSON values.
    """

    part: Part
    task: str
    shape: tuple[int, ...]
    rows: int
    fit: Fit = "stretch"
    fingerprint: str = ""
    leaked: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = [
            f"{key} {getattr(self, key)!r}"
            for key, values in (
                ("part", get_args(Part)),
                ("task", get_args(TaskName)),
                ("fit", FITS),
            )
            if getattr(self, key) not in values
        ]
        axes = 3 if self.task == "segmentation" else 1
        sizes = (type(n) is int and 0 < n < _MOST_VALUES for n in self.shape)
        if len(self.shape) != axes or not all(sizes):
            faults.append(f"shape {self.shape}")
        if type(self.rows) is not int or self.rows < 0:
            faults.append(f"rows {self.rows}")
        if faults:
            raise ValueError(", ".join(faults))

    @property
    def schema(self) -> Any:
        """The Arrow schema of its file."""
        kind = pa.large_binary()
        if self.task != "segmentation":
            is_half = self.task != "regression" and self.shape[0] > HALF_COLUMNS
            kind = pa.list_(pa.float16() if is_half else pa.float32(), self.shape[0])
        columns = [("id", pa.string()), ("prediction", kind)]
        columns += [("height", pa.int32()), ("width", pa.int32())]
        values = {"version": VERSION} | asdict(self)
        text = json.dumps({**values, CHECKSUM: checksum(values)}, allow_nan=False)
        return pa.schema(columns, metadata={_HEADER: text.encode()})


class _Rows(NamedTuple):
    """Rows as they are stored: ids, predictions (n, ...) of the file's type, originals int32."""

    ids: list[str]
    values: NDArray[Any]
    originals: NDArray[np.int32]

    def digest(self, schema: Any, start: int) -> str:
        """Return a digest of the rows, of their place, and of the header."""
        state = hashlib.blake2b(schema.metadata[_HEADER], digest_size=_DIGEST_BYTES)
        state.update(json.dumps([start, self.ids]).encode())
        state.update(np.ascontiguousarray(self.values).data)
        state.update(np.ascontiguousarray(self.originals).data)
        return state.hexdigest()


def write_predictions(
    path: Path,
    header: Header,
    compute: Callable[[int], Iterator[Prediction]],
    *,
    journal: Journal | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Write a file of predictions; it appears under its name once complete.

    Memory holds a few batches at a time. The same batches make the same bytes, whether they come
    from the journal or are computed.

    Args:
        path: The file.
        header: What it is of.
        compute: Called once, with the number of rows in the journal; returns the batches of the
            others. What it raises leaves the file as it was.
        journal: Of batches that an earlier run computed, and where to add the others.
        progress: Called with the number of images of each batch written.

    Raises:
        ValueError: The batches are not of this header.
        OSError: The disk is full or not writable; names the file.
    """
    schema, done = header.schema, 0
    with files.atomic_write(path) as part, part.open("wb") as sink:
        with pa.ipc.new_file(sink, schema, options=_options()) as writer:
            for batch, digest in _batches(header, compute, journal):
                writer.write_batch(batch, custom_metadata={_DIGEST: digest})
                done += batch.num_rows
                progress(batch.num_rows)
        if done != header.rows:
            raise ValueError(f"{done} predictions, not {header.rows}")


def _batches(
    header: Header, compute: Callable[[int], Iterator[Prediction]], journal: Journal | None
) -> Iterator[tuple[Any, str]]:
    """Yield the record batches of a journal, then the computed ones, which are added to it.

    With the digest of each. A thread adds them, so that the next batch is computed meanwhile.
    """
    schema, done = header.schema, 0
    for data in journal or ():
        with pa.ipc.open_stream(data) as reader:
            batch = reader.read_next_batch().replace_schema_metadata(schema.metadata)
        yield batch, _stored_rows(batch, header).digest(schema, done)
        done += batch.num_rows

    def converted() -> Iterator[tuple[int, Any]]:
        start = done
        for prediction in compute(done):
            batch = _to_batch(prediction, header)  # of masks a quarter of the bytes
            yield start, batch
            start += batch.num_rows

    def add(item: tuple[int, Any]) -> tuple[Any, str]:
        start, batch = item
        if journal is not None:
            journal.append(_part_of_journal(batch))
        return batch, _stored_rows(batch, header).digest(schema, start)

    yield from map_ahead(add, converted(), _WRITTEN_LATE, threads=1)  # one: parts have an order


def _part_of_journal(batch: Any) -> bytes:
    plain = batch.replace_schema_metadata(None)  # the header is the same in all
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, plain.schema, options=_options()) as writer:
            writer.write_batch(plain)
        data: bytes = sink.getvalue().to_pybytes()
    return data


def _options() -> Any:
    return pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)


def _to_batch(prediction: Prediction, header: Header) -> Any:
    """Return predictions as a record batch.

    Raises:
        ValueError: They have another shape than the header.
    """
    ids, probabilities, originals = prediction
    if probabilities.shape != (len(ids), *header.shape) or originals.shape != (len(ids), 2):
        raise ValueError(f"{len(ids)} ids, predictions {probabilities.shape} for {header.shape}")
    schema = header.schema
    kind = schema.field("prediction").type
    if header.task == "segmentation":
        levels = to_bytes(probabilities)
        offsets = np.arange(len(ids) + 1, dtype=np.int64) * int(np.prod(header.shape))
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(levels)]
        values = pa.Array.from_buffers(kind, len(ids), buffers)
    else:
        flat = np.ascontiguousarray(probabilities, np.float32).ravel()
        is_half = kind.value_type == pa.float16()
        column = pa.array(_to_halves(flat) if is_half else flat)
        values = pa.FixedSizeListArray.from_arrays(column, header.shape[0])
    heights, widths = (pa.array(column.astype(np.int32)) for column in originals.T)
    return pa.record_batch([pa.array(ids, pa.string()), values, heights, widths], schema=schema)


def to_bytes(probabilities: Floats) -> NDArray[np.uint8]:
    """Return probabilities as 0 to 255: the nearest, halves down.

    Example:
        >>> to_bytes(np.array([0, 0.5, 0.51, 1], np.float32)).tolist()
        [0, 127, 130, 255]
    """
    scaled = np.multiply(probabilities, np.float32(_LEVELS), dtype=np.float32)
    scaled -= np.float32(0.5)
    return np.ceil(scaled, out=scaled).astype(np.uint8)


def as_stored(probabilities: Floats, task: str) -> Floats:
    """Return predictions (n, ...) as their file gives them back, float32: masks have 256 levels.

    Example:
        >>> as_stored(np.array([[[[0.5, 0.51]]]], np.float32), "segmentation") * 255
        array([[[[127., 130.]]]], dtype=float32)
    """
    if task == "segmentation":
        return np.divide(to_bytes(probabilities), np.float32(_LEVELS), dtype=np.float32)
    if task != "regression" and probabilities.shape[1] > HALF_COLUMNS:
        return _to_halves(probabilities).astype(np.float32)
    return probabilities


def _to_halves(values: Floats) -> NDArray[np.float16]:
    halves = np.where(values > 0, np.maximum(values.astype(np.float16), _LEAST_HALF), values)
    return halves.astype(np.float16)


def _stored_rows(batch: Any, header: Header) -> _Rows:
    """Return the rows of a record batch.

    Raises:
        ValueError: A value is missing, or has another size than the header says.
    """
    batch.validate(full=True)  # offsets and sizes lie within the buffers
    if any(column.null_count for column in batch.columns):
        raise ValueError("a value is missing")
    ids, column = batch.column(0).to_pylist(), batch.column(1)
    if header.task == "segmentation":
        size = int(np.prod(header.shape))
        offsets = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1)
        if offsets[0] or (np.diff(offsets) != size).any():
            raise ValueError(f"a prediction has not {size} bytes")
        values = np.frombuffer(column.buffers()[2] or b"", np.uint8, len(column) * size)
    else:
        values = column.flatten().to_numpy()
    originals = np.stack([batch.column(i).to_numpy() for i in (2, 3)], axis=1)
    return _Rows(ids, values.reshape(len(ids), *header.shape), originals)


class Predictions:
    """A file of predictions, checked as it is read; memory holds a batch of it at a time.

    Args:
        path: The file.
        fix: What to do if it is absent or damaged.

    Attributes:
        header: What it is of.

    Raises:
        ArtifactError: It is absent or damaged, or no file of predictions of this version.
    """

    def __init__(self, path: Path, *, fix: str = "run the stage predict again") -> None:
        self.path, self._fix = path, fix
        if not path.is_file():
            raise ArtifactError("it is not there", file=path, fix=fix)
        with self._reader() as reader:
            schema = reader.schema
            text = (schema.metadata or {}).get(_HEADER)
            if text is None:
                raise ValueError(f"columns {', '.join(schema.names)}, and no header of Darkroom")
            self.header = _header(parse_json(text, path, fix=fix))
            if not schema.equals(self.header.schema):
                raise ValueError(f"columns {schema.to_string(show_schema_metadata=False)}")
            self._schema = schema

    def are_of(self, ids: Collection[str]) -> bool:
        """Return whether the images are these, in this order.

        Args:
            ids: A column of a table is compared without a Python object an image.

        Raises:
            ArtifactError: The file is damaged.
        """
        expected, done = pa.array(ids, pa.string()), 0
        if isinstance(expected, pa.ChunkedArray):  # of a column that was read by blocks
            expected = expected.combine_chunks()
        with self._reader(included_fields=[0]) as reader:
            for number in range(reader.num_record_batches):
                names = reader.get_batch(number).column(0)
                if not names.equals(expected.slice(done, len(names))):
                    return False
                done += len(names)
        return done == len(expected)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the predictions batch by batch, as they were written.

        Raises:
            ArtifactError: The file is damaged.
        """
        return self.batches()

    def batches(self, start: int = 0) -> Iterator[Prediction]:
        """Yield the batches but for the first ones, which are not decoded.

        Args:
            start: How many to leave out.

        Raises:
            ArtifactError: The file is damaged.
        """
        with self._reader(included_fields=[0]) as keys, self._reader() as reader:
            done = sum(keys.get_batch(number).num_rows for number in range(start))

            def read(number: int) -> _Rows:
                nonlocal done
                rows = self._rows(reader, number, done)
                done += len(rows.ids)
                return rows

            # One thread: batches have an order. It unpacks the next while its reader has the last.
            for rows in map_ahead(read, range(start, reader.num_record_batches), 2, threads=1):
                yield self._prediction(rows)
            if done != self.header.rows:
                raise ValueError(f"{done} rows instead of {self.header.rows}")

    def take(self, ids: Iterable[str]) -> dict[str, Floats]:
        """Return the predictions of some images, by id; batches without any are not decoded.

        Raises:
            ArtifactError: The file is damaged.
        """
        selection, by_id = set(ids), dict[str, Floats]()
        done = 0
        with self._reader(included_fields=[0]) as keys, self._reader() as reader:
            for number in range(keys.num_record_batches):
                names = keys.get_batch(number).column(0).to_pylist()
                if selection & set(names):
                    batch = self._prediction(self._rows(reader, number, done))
                    pairs = zip(batch.ids, batch.probabilities, strict=True)
                    by_id |= {name: values.copy() for name, values in pairs if name in selection}
                done += len(names)
        return by_id

    def _rows(self, reader: Any, number: int, start: int) -> _Rows:
        batch, metadata = reader.get_batch_with_custom_metadata(number)
        rows = _stored_rows(batch, self.header)
        if (metadata or {}).get(_DIGEST) != rows.digest(self._schema, start).encode():
            raise ValueError(f"the rows from {start + 1} on are not as they were written")
        return rows

    def _prediction(self, rows: _Rows) -> Prediction:
        if self.header.task == "segmentation":
            values = np.divide(rows.values, np.float32(_LEVELS), dtype=np.float32)
        else:
            values = rows.values.astype(np.float32)
            if not np.isfinite(values).all():  # no network's: predict refuses to write them
                raise ValueError("predictions that are no finite numbers")
        return Prediction(rows.ids, values, rows.originals.astype(np.int64))

    @contextmanager
    def _reader(self, included_fields: Sequence[int] = ()) -> Iterator[Any]:
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=list(included_fields))
        try:
            # No memory map: a file that is cut while it is read would end the process.
            with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file, options=options) as each:
                yield each
        except _FAULTS as fault:
            reason = (str(fault).splitlines() or [type(fault).__name__])[0]
            raise ArtifactError(
                "it is damaged, or no file of predictions",
                file=self.path,
                found=reason,
                fix=self._fix,
            ) from fault


def _header(values: dict[str, Any]) -> Header:
    """Return the header of a file.

    Raises:
        ValueError: It is of another version, or not legal.
    """
    if values.pop("version", None) != VERSION:
        raise ValueError("predictions of another version of Darkroom")
    if not isinstance(values.get("facts"), dict):
        raise ValueError("facts that are no mapping")
    values |= {key: tuple(values[key]) for key in ("shape", "leaked")}
    return Header(**values)

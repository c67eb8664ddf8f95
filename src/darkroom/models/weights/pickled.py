"""Read what `torch.save` wrote, without torch's reader and without trust in a byte of it.

torch's own reader runs no code of a file either (`weights_only`), but it compares no checksum, and
of a zip whose directory has a changed bit it returns numbers from memory that nobody has written.
It allocates what the old format asks for, calls `torch.Tensor(10**9)`, and never ends over a key
made of nested tuples: to look a file over first takes as much code as to read it. Here the pickle
becomes plain values and `_Dense` first; tensors are made once their numbers fit the bytes that are
there.

Two formats. Since 2019 a zip: `<name>/data.pkl`, and `<name>/data/<key>` for each storage,
uncompressed, with a CRC-32 each. Before, one stream: pickles of a magic number, a version, the
system, the content and the keys of the storages; then for each key its number of values and these.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor

DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
"""The kinds of numbers that weights may be, by the name of their storage."""

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the format before 2019
# A tensor may be in a file under two names, as tied weights are. More would be a bomb: each name is
# a tensor of its own in what is written of it.
_MOST_OF_FILE = 2
_MOST_PICKLED = 8 * 2**20  # bytes, without the numbers: some 50,000 tensors
# What a pickle has read once it may name again in two bytes: nothing long is copied.
_MOST_ARGUMENTS = 16  # of a function, a storage, or a tensor's sizes
_ODD_TENSORS = {
    "_rebuild_meta_tensor_no_storage": "a tensor without values (meta)",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_sparse_csr_tensor": "a sparse tensor",
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_tensor_v3": "numbers of another kind, such as of 8 bits",
}


class UnreadableError(Exception):
    """A file is damaged, or holds more than weights; the message says which, in a few words."""


def read_pickled(file: Path) -> object:
    """Return the content of a file of `torch.save`: plain values, and tensors on the CPU.

    Nothing in the file is executed. Memory is a small multiple of the file's size, whatever it
    asks for.

    Raises:
        UnreadableError: See there. A damaged file may raise other exceptions too.
    """
    with file.open("rb") as stream:
        size = file.stat().st_size
        is_zip = stream.read(4) == b"PK\x03\x04"
        stream.seek(0)
        read = _read_zip if is_zip else _read_stream
        content, storages = read(stream, size)
    return _with_tensors(content, storages, size)


@dataclass(frozen=True)
class _Storage:
    """A one-dimensional array in the file."""

    key: str
    kind: str
    count: int
    offset: int = 0  # of a view, in values


@dataclass(frozen=True)
class _Dense:
    """A tensor that is not yet made: a view of a storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _dense(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Dense:
    if not all(isinstance(each, tuple) and len(each) <= _MOST_ARGUMENTS for each in (size, stride)):
        raise UnreadableError("a tensor is described by invalid numbers")
    numbers = [offset, *size, *stride]
    are_numbers = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers)
    if not isinstance(storage, _Storage) or not are_numbers or len(size) != len(stride):
        raise UnreadableError("a tensor is described by invalid numbers")
    return _Dense(storage, offset + storage.offset, tuple(size), tuple(stride))


def _plain(value: Any = (), *_: Any) -> Any:
    """Stand for bytes, sets and sizes, which are what they are made of: nothing is copied."""
    return value


def _refuse(what: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise UnreadableError(f"it holds {what}")

    return refuse


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return pairs
    content: dict[Any, Any] = {}
    if pairs:
        _put(content, [item for key, value in pairs for item in (key, value)])
        pairs.clear()  # a list, of Python 2, which nothing else refers to
    return content


def _put(content: Any, items: Sequence[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        # A key made of nested tuples takes for ever to hash.
        if not isinstance(content, dict) or not isinstance(key, str | int | float):
            raise UnreadableError("a table has keys that are no words and no numbers")
        content[key] = value


_GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("collections", "Counter"): _ordered,
    ("_codecs", "encode"): _plain,
    ("builtins", "set"): _plain,
    ("__builtin__", "set"): _plain,
    ("torch", "Size"): _plain,
    ("torch", "Tensor"): None,
    ("torch", "device"): lambda *_: None,
    ("torch._utils", "_rebuild_tensor"): _dense,
    ("torch._utils", "_rebuild_tensor_v2"): _dense,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda tensor, *_: tensor,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda rebuild, _type, values, _state: rebuild(
        *values
    ),
    ("torch.serialization", "_get_layout"): _refuse("a sparse tensor"),
    **{("torch._utils", name): _refuse(what) for name, what in _ODD_TENSORS.items()},
}


class _Unpickler(pickle._Unpickler):
    """Makes plain values, and what `_GLOBALS` names; operations for anything else are absent.

    The one in Python: that in C allocates as many places as a damaged index asks for.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    for _operation in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX),
        *(pickle.EXT1, pickle.EXT2, pickle.EXT4),
        *(pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    ):
        del dispatch[_operation[0]]

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a global."""
        if module in ("torch", "torch.cuda", "torch.storage") and name.endswith("Storage"):
            return name
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return name
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise UnreadableError(f"it holds more than weights: {module}.{name}"[:120]) from None

    def persistent_load(self, saved: Any) -> _Storage:
        """Return a storage that the pickle refers to."""
        if not isinstance(saved, tuple) or len(saved) > _MOST_ARGUMENTS:
            raise UnreadableError("a storage is described by invalid values")
        word, kind, key, _device, count, *view = saved
        # Names before anything is done with them: a nested tuple takes for ever to hash or print.
        if not isinstance(kind, str) or not isinstance(key, str | int):
            raise UnreadableError("a storage is described by invalid values")
        if word != "storage" or not isinstance(count, int) or count < 0:
            raise UnreadableError("a storage is described by invalid values")
        if kind not in DTYPES:
            raise UnreadableError(f"it holds tensors of another kind: {kind}"[:120])
        offset = int(view[0][1]) if view and view[0] else 0
        return _Storage(str(key), kind, count, offset)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        _put(self.stack[-1], [key, value])  # type: ignore[attr-defined]

    def _set_items(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        _put(self.stack[-1], items)  # type: ignore[attr-defined]

    def _reduce(self) -> None:
        if len(self.stack[-1]) > _MOST_ARGUMENTS:  # type: ignore[attr-defined]
            raise UnreadableError("a value is described by too many others")
        self.load_reduce()  # type: ignore[attr-defined]

    def _build(self) -> None:
        # Attributes: the versions of layers, which the network's own table has.
        self.stack.pop()  # type: ignore[attr-defined]

    dispatch |= {pickle.SETITEM[0]: _set_item, pickle.SETITEMS[0]: _set_items}
    dispatch |= {pickle.BUILD[0]: _build, pickle.REDUCE[0]: _reduce}


class _Limited:
    """A stream of which only so many bytes are read: a pickle's operations take memory and time."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, _MOST_PICKLED

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        return self._counted(self.stream.read(min(count, self.left)))

    def readline(self) -> bytes:
        """Return the next line."""
        return self._counted(self.stream.readline(self.left))

    def _counted(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left <= 0:
            raise UnreadableError("its table of tensors is too long")
        return data


def _unpickle(stream: BinaryIO) -> object:
    content: object = _Unpickler(_Limited(stream), encoding="utf-8").load()
    return content


def _read_zip(stream: BinaryIO, size: int) -> tuple[object, dict[str, bytearray]]:
    with zipfile.ZipFile(stream) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1 or any("/code/" in name for name in members):
            raise UnreadableError("it is a zip, but not of tensors (TorchScript, say)")
        folder = pickles[0].removesuffix("data.pkl")

        def read(name: str) -> bytes:
            info = members[name]
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise UnreadableError("it is a zip whose members are compressed")
            return archive.read(info)  # compares the checksum

        if f"{folder}byteorder" in members and read(f"{folder}byteorder") != b"little":
            raise UnreadableError("it was written by a big-endian machine")
        content = _unpickle(io.BytesIO(read(pickles[0])))
        storages: dict[str, bytearray] = {}
        left = size
        for storage in _storages(content):
            if storage.key not in storages:
                data = bytearray(read(f"{folder}data/{storage.key}"))
                left -= len(data)
                if left < 0:
                    raise UnreadableError("its members lie on top of each other")
                storages[storage.key] = data
    return content, storages


def _read_stream(stream: BinaryIO, size: int) -> tuple[object, dict[str, bytearray]]:
    if [_unpickle(stream), _unpickle(stream)] != [_MAGIC, _VERSION]:
        raise UnreadableError("it does not begin as such a file does")
    _unpickle(stream)  # the system that wrote it
    content = _unpickle(stream)
    keys = _unpickle(stream)
    kinds = {storage.key: storage.kind for storage in _storages(content)}
    storages: dict[str, bytearray] = {}
    for key in keys if isinstance(keys, list) else []:
        (count,) = struct.unpack("<q", stream.read(8))
        if str(key) not in kinds:  # of a tensor that nothing names
            raise UnreadableError("it holds numbers of which no tensor is made")
        length = count * DTYPES[kinds[str(key)]].itemsize
        if not 0 <= length <= size - stream.tell():
            raise UnreadableError("it ends early")
        storages[str(key)] = bytearray(stream.read(length))
    return content, storages


def _walk(content: object) -> Iterable[Any]:
    """Yield every value within a content once, whatever refers to it how often."""
    todo, seen = [content], set()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value


def _storages(content: object) -> list[_Storage]:
    return [value.storage for value in _walk(content) if isinstance(value, _Dense)]


def _with_tensors(content: object, storages: Mapping[str, bytearray], size: int) -> object:
    """Return a content with tensors in its tables for what describes them."""
    if isinstance(content, _Dense):
        return _tensor(content, storages)
    total = 0
    for table in [value for value in _walk(content) if isinstance(value, dict)]:
        for name, value in table.items():
            if isinstance(value, _Dense):
                table[name] = _tensor(value, storages)
                total += table[name].nbytes
                if total > _MOST_OF_FILE * size:
                    raise UnreadableError("its tensors are larger than the file")
    return content


def _tensor(dense: _Dense, storages: Mapping[str, bytearray]) -> Tensor:
    dtype = DTYPES[dense.storage.kind]
    data = storages.get(dense.storage.key)
    if data is None or len(data) != dense.storage.count * dtype.itemsize:
        raise UnreadableError("it ends early: a tensor lacks its numbers")
    if 0 in dense.size:
        return torch.empty(dense.size, dtype=dtype)
    last = sum((n - 1) * step for n, step in zip(dense.size, dense.stride, strict=True))
    if dense.offset + last >= dense.storage.count:
        raise UnreadableError("a tensor is larger than its numbers in the file")
    return torch.frombuffer(data, dtype=dtype).as_strided(dense.size, dense.stride, dense.offset)

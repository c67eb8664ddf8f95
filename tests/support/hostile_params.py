"""Hostile params.yaml: bombs, odd YAML, and values that nobody means."""

from collections.abc import Iterator
from pathlib import Path

SHIPPED = (Path(__file__).parents[2] / "params.yaml").read_text()

NAMES = (
    "x; touch flag #",
    "$(touch flag)",
    "`touch flag`",
    "a' ; touch flag; '",
    "../../victim",
    "../raw/tiny",
    "../../src",
    "../../models",
    "x/../../..",
    "../../../victim",
    "../../victim/x=y",
    "a/../tiny",
    "./tiny",
    "/tmp/victim",
    "/",
    ".",
    "..",
    "tiny\n",
    "a\nb",
    "",
)
"""Names of competitions that a shell or a path would misuse; `tiny` is a competition."""

FOLDS = ("0; touch flag", "0/../../../victim", "0/../fold1", "../x", "0\n", "", "$(touch flag)")
"""Likewise in the place of a fold."""


def hostile_params() -> Iterator[tuple[str, bytes]]:
    """Yield 82 names, each with the bytes of a whole params.yaml that must be refused."""
    for name, text in {**_bombs(), **_odd_yaml(), **_odd_values()}.items():
        yield name, text if isinstance(text, bytes) else text.encode()


def _bombs() -> dict[str, str | bytes]:
    levels = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
    maps = "".join(
        f"b{n + 1}: &b{n + 1} {{{', '.join(f'k{k}: *b{n}' for k in range(9))}}}\n" for n in range(9)
    )
    merged = "".join(f"- &m{n + 1} {{<<: [*m{n}, *m{n}], k{n}: 1}}\n" for n in range(40))
    return {
        "aliases of aliases": f"a0: &a0 [x]\n{levels}",
        "mappings of aliases": f"b0: &b0 {{x: 1}}\n{maps}",
        "aliases in a section": f"{SHIPPED}a0: &a0 [x]\n{levels}",
        "aliases in augment": _put(f"augment: [{{x: &x0 [1], {_nested_aliases()}}}]"),
        "an alias of itself": "a: &a [*a]\n",
        "a mapping in itself": "a: &a {b: *a}\n",
        "merges of merges": f"a:\n- &m0 {{x: 1}}\n{merged}",
        "too many keys": "".join(f"k{n}: 1\n" for n in range(200_000)),
        "many unknown keys": "".join(f"k{n}: 1\n" for n in range(9_000)),
        "many unknown keys in a section": SHIPPED
        + "other:\n"
        + "".join(f"  k{n}: 1\n" for n in range(8_000)),
        "many competitions": _top("competitions", f"[{', '.join(f'c{n}' for n in range(9_000))}]"),
        "many folds": _top("folds", str(list(range(9_000)))),
        "many transfers": _top("transfers", f"[{'{to: a, from: b}, ' * 4_000}]"),
        "one name often": _top("competitions", f"[{', '.join(['carvana'] * 9_000)}]"),
        "nested lists": "a: " + "[" * 5_000 + "]" * 5_000,
        "nested mappings": "a: " + "{a: " * 3_000 + "1" + "}" * 3_000,
        "lists that do not end": "a: " + "[" * 50_000,
        "nested blocks": "".join(f"{' ' * n}a:\n" for n in range(400)),
        "nested augment": _put(f"augment: [{{x: {'[' * 30}{']' * 30}}}]"),
        "a huge file": b"#" * 5_000_000,
        "a huge text": f"a: {'x' * 90_000}\n",
        "a huge key": f"{'x' * 90_000}: 1\n",
        "a huge comment and no value": "#" * 99_000,
        "a huge name": _top("competitions", f"[{'x' * 90_000}]"),
        "a huge word": _put(f"loss: {'x' * 90_000}"),
        "huge urls": _put(f"urls: [{'x' * 90_000}]"),
        "5,000 digits": _top("seed", "9" * 5_000),
        "30 digits": _top("seed", "9" * 30),
        "hexadecimal digits": _top("seed", "0x" + "f" * 5_000),
        "digits of a real": _put(f"lr: {'9' * 5_000}.0"),
        "many anchors": "".join(f"- &a{n} x\n" for n in range(9_000)),
        "many documents": "---\na: 1\n" * 9_000,
    }


def _odd_yaml() -> dict[str, str | bytes]:
    return {
        "empty": "",
        "a comment": "# nothing\n",
        "a list": "- a\n",
        "a text": "carvana\n",
        "a number": "5\n",
        "null": "~\n",
        "a NUL": SHIPPED + "a: \0\n",
        "NULs": b"\0" * 1_000,
        "control characters": SHIPPED + "a: \x1b[2J\x07\n",
        "UTF-16": SHIPPED.encode("utf-16"),
        "Latin-1": "a: gr\u00f6\u00dfer\n".encode("latin-1"),
        "half a character": b"a: \xf0\x9f\n",
        "a surrogate": b"a: \xed\xa0\x80\n",
        "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbfseed: 7\n",
        "a zip": b"PK\x03\x04" + b"\0\xff" * 500,
        "a tab": "seed:\t7\n\tfolds: [0]\n",
        "a key twice": f"seed: 7\n{SHIPPED}",
        "a list as key": f"{SHIPPED}? [a, b]\n: 1\n",
        "a mapping as key": f"{SHIPPED}? {{a: b}}\n: 1\n",
        "a number as key": f"{SHIPPED}7: 1\n",
        "null as key": f"{SHIPPED}~: 1\n",
        "a date as key": f"{SHIPPED}2020-01-01: 1\n",
        "an object of Python": f"{SHIPPED}a: !!python/object/apply:os.system ['touch flag']\n",
        "an unknown tag": f"{SHIPPED}a: !thing x\n",
        "bytes": f"{SHIPPED}a: !!binary aGFsbG8=\n",
        "spoilt bytes": f"{SHIPPED}a: !!binary '%%%'\n",
        "a set": f"{SHIPPED}a: !!set {{x, y}}\n",
        "an ordered mapping": f"{SHIPPED}a: !!omap [x: 1]\n",
        "an unknown alias": f"{SHIPPED}a: *nowhere\n",
        "a merge of a number": f"{SHIPPED}a: {{<<: 5}}\n",
        "an open quote": f"{SHIPPED}a: 'x\n",
        "an open bracket": f"{SHIPPED}a: [x\n",
        "a percent sign": "%YAML 9.9\n---\nseed: 7\n",
    }


def _odd_values() -> dict[str, str | bytes]:
    return {
        "a day that is not": _top("seed", "2023-02-30"),
        "an hour that is not": _top("seed", "2023-02-03 99:00:00"),
        "no integer": _top("seed", "!!int x"),
        "no real": _put("lr: !!float x"),
        "no truth": _put("compile: !!bool maybe"),
        "a date": _top("seed", "2020-01-01"),
        "not a number": _put("lr: .nan"),
        "infinite": _put("lr: -.inf"),
        "more than a double": _put("lr: 1e999"),
        "a seed below 0": _top("seed", "-1"),
        "a fold of letters": _top("folds", "['0; touch flag']"),
        "a shell's name": _top("competitions", "['x; touch flag #']"),
        "a path as name": _top("competitions", "['../../victim']"),
        "a mapping as name": _top("competitions", "[{'x; touch flag': 1}]"),
        "a server to begin from": _top("transfers", "[{to: carvana, from: 'https://a.example/b'}]"),
        "a key beside to": _top("transfers", "[{to: carvana, from: b, 'x; touch flag': 1}]"),
        "a mapping for a list": _top("competitions", "{carvana: 1}"),
    }


def _top(key: str, value: str) -> str:
    """Return the shipped file with another value of a key at its top."""
    lines = [line for line in SHIPPED.splitlines() if not line.startswith(f"{key}:")]
    return "\n".join([*lines, f"{key}: {value}", ""])


def _put(line: str) -> str:
    """Return the shipped file with another value of a key of carvana's training or data."""
    section = "data" if line.startswith("urls") else "train"
    key = line.partition(":")[0]
    head, _, tail = SHIPPED.partition(f"  {section}:")
    first, _, rest = tail.partition("\n")
    lines = rest.split("\n")
    place = next((n for n, each in enumerate(lines) if each.startswith(f"    {key}:")), None)
    if place is not None:
        del lines[place]
    return "\n".join([f"{head}  {section}:{first}", f"    {line}", *lines])


def _nested_aliases() -> str:
    return ", ".join(f"x{n + 1}: &x{n + 1} [{', '.join([f'*x{n}'] * 9)}]" for n in range(9))

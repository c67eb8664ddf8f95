"""Files by the paths that a template may give them, against a plain definition."""

from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.errors import DataError
from darkroom.raw.archives import Archives
from darkroom.raw.templates.places import Listing
from tests.support.packed import zip_of

PARTS = st.sampled_from(["a", "b", "t", "\u00e9", "e\u0301", "\u212a", "K"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def files_of(members: list[str], wanted: str) -> set[str]:
    """Return the members of t.zip that a path means: its own folders t may be left out."""
    files = set()
    for name in members:
        rest = name
        while True:
            if wanted in (rest, normalize("NFC", rest)):
                files.add(f"t.zip/{name}")
            if not rest.startswith("t/"):
                break
            rest = rest.removeprefix("t/")
    return files


@settings(max_examples=40, deadline=None)
@given(
    members=st.lists(NAMES, min_size=1, max_size=8, unique=True),
    wanted=st.lists(NAMES, min_size=1, max_size=8),
)
def test_a_path_means_what_is_left_of_a_member_without_its_own_folders(
    tmp_path_factory: pytest.TempPathFactory, members: list[str], wanted: list[str]
) -> None:
    root = tmp_path_factory.mktemp("places")
    zip_of(root / "t.zip", dict.fromkeys(members, b"x"))
    listing = Listing(Archives(root, root / "unpacked"), "t.zip", "t")
    single = []
    for name in wanted:
        files = files_of(members, name)
        if len(files) > 1:
            with pytest.raises(DataError, match="a path that means two files"):
                listing.find(name)
            with pytest.raises(DataError, match="a path that means two files"):
                listing.find_all([name])
            continue
        files = files or set(sorted(files_of(members, normalize("NFC", name)))[:1])
        assert {listing.find(name)} - {""} == files
        single.append(name)
    assert listing.find_all(single) == [listing.find(name) for name in single]

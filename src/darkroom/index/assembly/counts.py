"""Count what the index leaves out, and what it can't refuse but is hardly meant."""

import re
from collections.abc import Collection, Mapping, Sequence
from unicodedata import normalize

import numpy as np
import pandas as pd

from darkroom.index.assembly.gather import Gathered
from darkroom.index.assembly.part import Counts, Part
from darkroom.index.assembly.targets import Targets
from darkroom.index.card import BY_WHERE, MOVED_PLANES, SIMILAR_GROUPS, similar_labels
from darkroom.params.data import Data, Rows
from darkroom.raw.images.reader import paths_of

Images = Mapping[str, tuple[Part, Gathered]]

_LEADING_ZEROS = re.compile("(?<![0-9.])0+(?=[0-9])")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_LONGEST = 200  # of what a count is called, with its examples


def declared_counts(
    data: Data, images: Images, targets: Targets, frames: Mapping[str, pd.DataFrame]
) -> dict[str, int]:
    """Return the number of rows that a table states, of what was left out, and what is odd.

    Args:
        data: The section.
        images: By part, its rows and images.
        targets: Of all images.
        frames: By part, its rows of the index.
    """
    counts = Counts()
    for key, (part, _) in images.items():
        counts.update(part.counts)
        if key != "test":
            answers = [*targets.names] if targets.numbers else ["mask"]
            what = f"{key} ids whose image has another id, too, with other targets"
            counts[what] += _count_contradictory(frames[key], answers)
        if moved := _moved_planes(images["train"][0].rows, part.rows):
            counts[f"{key} {MOVED_PLANES} {', '.join(moved)}"[:_LONGEST]] += len(moved)
    if f"test {BY_WHERE}" in counts:
        counts[f"test {BY_WHERE}"] -= _count_rows_of_other_parts(images)
    for key, numbers in targets.numbers.items():
        if key != "test" and data.task != "multiclass":
            counts[f"{key} targets that are unknown"] += int(np.isnan(numbers).sum())
    names = targets.classes or targets.names
    if alike := similar_labels(names) if data.task != "regression" else []:
        what = "labels that differ in the case or form of letters alone, such as"
        counts[f"{what} {', '.join(alike[0])}"[:_LONGEST]] += sum(map(len, alike))
    groups = {group for key, (part, _) in images.items() if key != "test" for group in part.groups}
    if alike := _similar_groups(groups):
        counts[f"{SIMILAR_GROUPS} {', '.join(alike[0])}"[:_LONGEST]] += sum(map(len, alike))
    counted = {what: count for what, count in sorted(counts.items()) if count}
    stated = images["train"][0].table.declared
    return counted if stated is None else {"images": stated} | counted


def _count_rows_of_other_parts(images: Images) -> int:
    """Return how many rows that test's `where` leaves out are another part's of the same table."""
    test = images["test"][0]
    lines = {
        line
        for key, (part, _) in images.items()
        if key != "test" and part.rows.table == test.rows.table
        if part.rows.files is None and test.rows.files is None  # else lines may be numbers of files
        for line in part.table.lines
    }
    return sum(line in lines for line in test.left_out.lines)


def _count_contradictory(frame: pd.DataFrame, answers: Sequence[str]) -> int:
    """Return how many rows are of an image for which another row has other known answers."""
    shared = frame[frame["image"].duplicated(keep=False)]
    by_image = shared.groupby("image")[[*answers]].nunique()
    return int(shared["image"].isin(by_image.index[(by_image > 1).any(axis=1)]).sum())


def _similar_groups(groups: Collection[str]) -> list[list[str]]:
    """Return the sets of groups that may be one: p7, P7 and p07."""
    alike: dict[str, list[str]] = {}
    for group in sorted({*groups} - {""}):
        form = _LEADING_ZEROS.sub("", normalize("NFKC", group).casefold())
        alike.setdefault(form, []).append(group)
    return [several for several in alike.values() if len(several) > 1]


def _moved_planes(train: Rows, rows: Rows) -> list[str]:
    """Return the words that the template of one plane alone has, and in train that of another."""
    if not isinstance(train.image, list) or not isinstance(rows.image, list):
        return []
    own, trained = _plane_words(rows.image), _plane_words(train.image)
    return sorted(word for word, plane in own.items() if trained.get(word, plane) != plane)


def _plane_words(templates: Sequence[str]) -> dict[str, int]:
    """Return the plane of each word and number that one template alone has."""
    words = [set(_WORDS.findall(template.casefold())) for template in templates]
    return {
        word: plane
        for plane, own in enumerate(words)
        for word in own
        if sum(word in other for other in words) == 1
    }


def count_shared_files(part: Part, gathered: Gathered) -> int:
    """Return how many images have a file in common with one that may stand in another fold."""
    owners: dict[str, int] = {}
    shared: set[int] = set()
    for place in gathered.first:
        if not part.images[place].startswith("["):  # a file of its own
            continue
        paths = paths_of(part.images[place])
        for path in paths if len(paths) > 1 else ():
            other = owners.setdefault(path, place)
            group = part.groups[place]
            if other != place and (not group or group != part.groups[other]):
                shared |= {other, place}
    return len(shared)

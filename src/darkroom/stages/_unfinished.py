"""Half-done trainings that this one does not continue: say so, and remove them when it has ended.

A half-done training lies in `.darkroom/<fingerprint>/`: another parameter, input, version or number
of threads makes another fingerprint, as the result would have other bits. Beside its checkpoint
`training.json` says what it is of. It stays until a newer one of the same fold has ended: until
then, the old values put back continue it.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.project import files, work
from darkroom.training.callbacks import Callback
from darkroom.training.checkpoint import checkpoint_path

if TYPE_CHECKING:
    from darkroom.training.loop import Loop

FILE = "training.json"
_SHOWN = 3  # differences in a line


class Described(Callback):
    """Writes beside each checkpoint what it is of.

    Args:
        work_dir: The checkpoint's folder.
        training: Such as "carvana, fold 0".
        parts: As of `darkroom.project.fingerprint.stage_parts`.
    """

    def __init__(self, work_dir: Path, training: str, parts: Mapping[str, Any]) -> None:
        self.work_dir = work_dir
        self.facts = {"training": training, "project": str(Path.cwd()), "parts": parts}

    def on_checkpoint(self, loop: "Loop") -> None:
        """Write the file, with the epochs done so far."""
        facts = self.facts | {"epochs": len(loop.history)}
        files.write(self.work_dir / FILE, json.dumps(facts, sort_keys=True) + "\n")


def report_others(work_dir: Path, training: str, parts: Mapping[str, Any]) -> None:
    """Print a line for each other half-done training of the same fold, and why it is another one.

    Args:
        work_dir: Of this training.
        training: As of `Described`.
        parts: Likewise.
    """
    for folder, facts in _others(work_dir, training):
        print(
            f"{training}: the half-done training in {folder} ({_amount(folder, facts)}) is not "
            f"continued: {_difference(facts['parts'], parts)}. It stays until this training has "
            "ended",
            file=sys.stderr,
        )


def remove_others(work_dir: Path, training: str) -> None:
    """Remove the other half-done trainings of the same fold, and say so."""
    for folder, facts in _others(work_dir, training):
        amount = _amount(folder, facts)
        if work.discard(folder):
            print(
                f"{training}: removed the older half-done training in {folder} ({amount})",
                file=sys.stderr,
            )


def _others(work_dir: Path, training: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the folders and facts of other half-done trainings that were started in this folder.

    Those of queued experiments, each in a copy of the project, leave each other alone.
    """
    for folder in sorted(work_dir.parent.iterdir()) if work_dir.parent.is_dir() else []:
        with suppress(OSError, ValueError, KeyError, TypeError):  # other work, or a damaged file
            facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
            is_same = (facts["training"], facts["project"]) == (training, str(Path.cwd()))
            if is_same and folder != work_dir and isinstance(facts["parts"]["params"], dict):
                yield folder, facts


def _amount(folder: Path, facts: Mapping[str, Any]) -> str:
    size = files.file_size(checkpoint_path(folder)) or 0
    return f"{facts.get('epochs', 0)} epochs done, {size / 1e6:.1f} MB"


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what differs, such as "train.lr was 0.1 and is 0.2"."""
    before, after = dict(_flat(old["params"])), dict(_flat(new["params"]))
    changes = [
        f"{key} was {before.get(key)} and is {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    versions = (dict(each.get("libraries", {})) for each in (old, new))
    for name, (was, now) in _differing(*versions).items():
        changes.append(f"{name} was {was} and is {now}")
    contents = (dict(map(tuple, each.get("inputs", []))) for each in (old, new))
    changes += [f"{name} has changed" for name in _differing(*contents)]
    if old.get("code") != new["code"]:
        changes.append("Darkroom's code has changed")
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return ", ".join(changes[:_SHOWN]) + more


def _differing(
    old: Mapping[str, object], new: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    names = sorted(old.keys() | new.keys())
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

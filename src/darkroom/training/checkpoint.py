"""What a training leaves on disk to go on from, and how a trainer is put back there.

A checkpoint is a pickle of plain values and tensors, as `torch.save` writes it, and a digest of
it: torch itself does not notice a changed bit. Nothing random is in it: what is random follows
from the seed and the place.
"""

import hashlib
import io
import json
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from darkroom.project import files

_DIGEST_BYTES = 32
State = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """How far a training has come.

    Args:
        epoch: Those that are whole, validation included.
        batch: Batches of the next one; all of them: only its validation is left.
        steps: Steps of the optimiser so far.
    """

    epoch: int = 0
    batch: int = 0
    steps: int = 0

    def seen(self, batches: int) -> int:
        """Return all the batches so far, given how many an epoch has."""
        return self.epoch * batches + self.batch


def path(work_dir: Path) -> Path:
    """Return where the checkpoint of a training lies."""
    return work_dir / "training.ckpt"


def save(file: Path, place: Place, about: Mapping[str, object], state: State) -> None:
    """Write a checkpoint, or leave the one that stood there.

    Args:
        file: See `path`.
        place: Where to go on.
        about: What training this is, JSON-able; see `load`.
        state: Plain values and tensors.
    """
    whole = {"about": _told(about), "place": (place.epoch, place.batch, place.steps), **state}
    # In memory first: of a full disk torch's own writer says nothing but that it failed.
    body = io.BytesIO()
    torch.save(whole, body)
    with files.atomic_write(file) as part, part.open("wb") as stream:
        stream.write(body.getbuffer())
        stream.write(digest_of(body.getbuffer()))


def digest_of(data: bytes | memoryview) -> bytes:
    """Return what stands behind the pickle of a checkpoint."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def load(file: Path, about: Mapping[str, object]) -> tuple[Place, State] | None:
    """Return a checkpoint, with its tensors on the CPU.

    None if there is none, or none of use: damaged, or of a training that was told apart by
    `about`. That is said on stderr.
    """
    try:
        return _read(file, about)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"can't be read ({error.strerror})"
    except _Unfit as error:
        why = str(error)
    except (RuntimeError, pickle.UnpicklingError, LookupError, TypeError, ValueError, EOFError):
        why = "is of another make"
    print(f"{file}: the checkpoint {why}: training starts afresh", file=sys.stderr)
    return None


class _Unfit(Exception):  # noqa: N818  (caught where it is raised)
    """A checkpoint that is of no use here."""


def _read(file: Path, about: Mapping[str, object]) -> tuple[Place, State]:
    data = memoryview(file.read_bytes())
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if digest_of(body) != digest:
        raise _Unfit("is damaged")
    state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if state.pop("about") != _told(about):
        raise _Unfit("is of another training")
    return Place(*state.pop("place")), state


def put(trainer: Trainer, place: Place, batches: int) -> None:
    """Let a trainer that has not begun yet begin at a place.

    Lightning's loops take their place from counters. They are made such as Lightning itself
    would have left them: within an epoch, before its start, so that callbacks hear of the start
    of what is left; with all batches done, in its validation, before the first batch.
    """
    loop = trainer.fit_loop
    state = loop.state_dict()
    within = int(place.batch > 0)
    epochs = _counts(place.epoch) | {"ready": place.epoch + within}
    steps = {"ready": place.steps, "completed": place.steps}
    done = place.batch == batches
    state["epoch_progress"] = {"total": epochs, "current": epochs}
    state["epoch_loop.batch_progress"] = {
        "total": _counts(place.seen(batches)),
        "current": _counts(place.batch),
        "is_last_batch": done,
    }
    state["epoch_loop.manual_optimization.optim_step_progress"] = {"total": steps, "current": steps}
    if done:
        state["epoch_loop.val_loop.batch_progress"] = {
            "total": _counts(0) | {"ready": 1, "started": 1},
            "current": _counts(0),
            "is_last_batch": False,
        }
    loop.load_state_dict(state)


def _counts(number: int) -> dict[str, int]:
    return dict.fromkeys(("ready", "started", "processed", "completed"), number)


def _told(about: Mapping[str, object]) -> str:
    return json.dumps(about, sort_keys=True, default=str)

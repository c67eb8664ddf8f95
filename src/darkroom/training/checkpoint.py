"""Checkpoints: the file that a training resumes from, and when it is written.

A checkpoint is a pickle of plain values and tensors, as `torch.save` writes it, and a digest of
it: torch itself does not notice a changed bit. It holds no random state: what is random follows
from the seed and the place (epoch, batch).
"""

import hashlib
import io
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn

from darkroom.project import files
from darkroom.training import distributed
from darkroom.training.signals import TERMINATED, DeferredSignals

if TYPE_CHECKING:
    from darkroom.training.loop import Loop

_DIGEST_BYTES = 32
State = dict[str, Any]
# What a checkpoint keeps of a loop as it stands.
_PLAIN = ("epoch", "batch", "stop", "history", "step_metrics", "best")


def checkpoint_path(work_dir: Path) -> Path:
    """Return where the checkpoint of a training lies."""
    return work_dir / "training.ckpt"


def save(file: Path, identity: Mapping[str, object], state: State) -> None:
    """Write a checkpoint, atomically: whole, or the one before stays.

    Args:
        file: See `checkpoint_path`.
        identity: What training this is, JSON-able; see `load`.
        state: Plain values and tensors.
    """
    # In memory first: of a full disk torch's own writer says nothing but that it failed.
    body = io.BytesIO()
    torch.save({"identity": _as_text(identity), **state}, body)
    with files.atomic_write(file) as part, part.open("wb") as stream:
        stream.write(body.getbuffer())
        stream.write(digest_of(body.getbuffer()))


def digest_of(data: bytes | memoryview) -> bytes:
    """Return the digest that follows the pickle of a checkpoint."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def load(file: Path, identity: Mapping[str, object]) -> State | None:
    """Return the state of a checkpoint, with its tensors on the CPU.

    None if there is none, or none of use: damaged, or of a training with another identity.
    Then a line on stderr says so.
    """
    try:
        return _read(file, identity)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = f"can't be read ({error.strerror})"
    except _UnusableError as error:
        reason = str(error)
    except (RuntimeError, pickle.UnpicklingError, LookupError, TypeError, ValueError, EOFError):
        reason = "has another format"
    print(f"{file}: the checkpoint {reason}: training starts afresh", file=sys.stderr)
    return None


def is_finite(net: nn.Module) -> bool:
    """Return whether all weights are finite: a loss shows diverged ones a batch too late."""
    floats = [t for t in net.state_dict().values() if t.is_floating_point()]
    return bool(torch.stack([t.isfinite().all() for t in floats]).all()) if floats else True


class Checkpoints:
    """Saves a loop after every epoch, every so many steps, and when a signal came.

    Always between two optimizer steps, so that no gradient need be kept. With several ranks the
    first one writes, and all must call the same methods.

    Args:
        file: See `checkpoint_path`.
        identity: See `save`.
        every_steps: Steps between two checkpoints within an epoch; None: none.
        signals: What asks to stop.
    """

    def __init__(
        self,
        file: Path,
        identity: Mapping[str, object],
        *,
        every_steps: int | None,
        signals: DeferredSignals,
    ) -> None:
        self.file, self.identity = file, identity
        self.every_steps, self.signals = every_steps, signals

    def after_batch(self, loop: "Loop") -> None:
        """Save between two steps of an epoch, if it is time or a signal came; then leave."""
        if not loop.step.follows(loop.batch - 1):
            return
        if distributed.any_rank(self.signals.received is not None):
            self.save_and_leave(loop)
        # After the last batch validation comes, and saves soon enough.
        is_due = self.every_steps is not None and loop.steps % self.every_steps == 0
        if is_due and loop.batch < loop.batches:
            self._save(loop)

    def after_epoch(self, loop: "Loop") -> None:
        """Save; leave if a signal came."""
        self._save(loop)
        if distributed.any_rank(self.signals.received is not None):
            self._leave()

    def is_interrupted(self) -> bool:
        """Return whether validation must stop for a signal.

        Several ranks may have unequal numbers of validation batches: they end the epoch first.
        """
        return self.signals.received is not None and distributed.world_size() == 1

    def save_and_leave(self, loop: "Loop") -> NoReturn:
        """Save, and end as the signal asks.

        Raises:
            SystemExit: 143, after SIGTERM, or where the signal came to another rank.
            KeyboardInterrupt: After SIGINT.
        """
        self._save(loop)
        self._leave()

    def resume(self, loop: "Loop") -> None:
        """Go on from the checkpoint, if there is one of use; it is rank 0 that reads it."""
        state = load(self.file, self.identity) if distributed.rank() == 0 else None
        state = distributed.broadcast(state)
        if state is not None:
            _restore(loop, state)
            loop.saved = self.file

    def _save(self, loop: "Loop") -> None:
        state = _state_of(loop)  # all ranks take part
        if distributed.rank() == 0 and is_finite(loop.module.net):
            loop.call("on_checkpoint")
            save(self.file, self.identity, state)
            loop.saved = self.file

    def _leave(self) -> NoReturn:
        self.signals.obey()
        raise SystemExit(TERMINATED)


def _state_of(loop: "Loop") -> State:
    train = loop.totals.over_ranks()
    return {
        **{key: getattr(loop, key) for key in _PLAIN},
        "net": loop.module.net.state_dict(),
        "step": loop.step.state_dict(),
        "sums": train.sums,
        "counts": train.counts,
        "callbacks": [callback.state_dict() for callback in loop.callbacks],
    }


def _restore(loop: "Loop", state: State) -> None:
    table = loop.module.net.state_dict()  # which says of what version its layers are
    if table.keys() != state["net"].keys():
        raise RuntimeError("a checkpoint of another network")
    table.update(state["net"])
    loop.module.net.load_state_dict(table)
    loop.step.load_state_dict(state["step"])
    for key in _PLAIN:
        setattr(loop, key, state[key])
    if distributed.rank() == 0:  # the other ranks start at 0: the sum is over all
        loop.totals.sums, loop.totals.counts = state["sums"], state["counts"]
    for callback, kept in zip(loop.callbacks, state["callbacks"], strict=True):
        callback.load_state_dict(kept)


class _UnusableError(Exception):
    """A checkpoint that is damaged, or of another training."""


def _read(file: Path, identity: Mapping[str, object]) -> State:
    data = memoryview(file.read_bytes())
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if digest_of(body) != digest:
        raise _UnusableError("is damaged")
    state: State = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if state.pop("identity") != _as_text(identity):
        raise _UnusableError("is of another training")
    return state


def _as_text(identity: Mapping[str, object]) -> str:
    return json.dumps(identity, sort_keys=True, default=str)

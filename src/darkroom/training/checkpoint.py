"""Checkpoints: the file that a training resumes from, and when it is written.

A checkpoint is a pickle of plain values and tensors, as `torch.save` writes it, followed by its
digest: torch itself does not notice a changed bit. It holds no state of random generators: random
numbers follow from the seed, the epoch and the batch.
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
# Attributes of a loop that a checkpoint holds unchanged.
_LOOP_KEYS = ("epoch", "batch", "should_stop", "history", "step_metrics", "selected")


def checkpoint_path(work_dir: Path) -> Path:
    """Return the file of a training's checkpoint."""
    return work_dir / "training.ckpt"


def write_checkpoint(file: Path, identity: Mapping[str, object], state: State) -> None:
    """Write a checkpoint, atomically: until it is complete, the previous one stays.

    Args:
        file: See `checkpoint_path`.
        identity: What must be equal to resume from it, JSON-able; see `read_checkpoint`.
        state: Plain values and tensors.
    """
    # In memory first: when the disk is full, torch's own writer does not say why it fails.
    body = io.BytesIO()
    torch.save({"identity": _as_text(identity), **state}, body)
    with files.atomic_write(file) as part, part.open("wb") as stream:
        stream.write(body.getbuffer())
        stream.write(digest(body.getbuffer()))


def digest(data: bytes | memoryview) -> bytes:
    """Return the digest that follows the pickle of a checkpoint."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def read_checkpoint(file: Path, identity: Mapping[str, object]) -> State | None:
    """Return the state of a checkpoint, with its tensors on the CPU.

    None if there is none, or if it is damaged or has another identity: a line on stderr says so,
    as the training then starts from the beginning.
    """
    try:
        return _read_valid(file, identity)
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
    """Return whether all weights are finite: the loss shows it only with the next batch."""
    floats = [t for t in net.state_dict().values() if t.is_floating_point()]
    return bool(torch.stack([t.isfinite().all() for t in floats]).all()) if floats else True


class Checkpoints:
    """Saves a loop after every epoch, every so many steps, and after a signal.

    Always between two optimizer steps, so that no gradient needs saving. Of several ranks the
    first one writes, but all must call the same methods: they exchange totals and signals.

    Args:
        file: See `checkpoint_path`.
        identity: See `write_checkpoint`.
        every_steps: Steps between two checkpoints within an epoch; None: none.
        signals: The signals that ask to stop.
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
        """Save between two steps if it is time; save and leave if a signal came to any rank."""
        if not loop.step.is_due_after(loop.batch - 1):
            return
        if distributed.any_rank(self.signals.received is not None):
            self.save_and_leave(loop)
        # Not after the last batch: the validation that follows is short, and saves too.
        is_due = self.every_steps is not None and loop.steps % self.every_steps == 0
        if is_due and loop.batch < loop.batches:
            self._save(loop)

    def after_epoch(self, loop: "Loop") -> None:
        """Save; leave if a signal came."""
        self._save(loop)
        if distributed.any_rank(self.signals.received is not None):
            self._leave()

    def is_interrupted(self, loop: "Loop", number: int) -> bool:
        """Return whether validation must stop after a batch, counted from 0, for a signal.

        Several ranks agree after the full batches, in which all of them take part.
        """
        if number >= loop.val_loader.full_batches:
            return False
        return distributed.any_rank(self.signals.received is not None)

    def save_and_leave(self, loop: "Loop") -> NoReturn:
        """Save, and end the process as the signal asks.

        Raises:
            SystemExit: 143, after SIGTERM, or where the signal came to another rank.
            KeyboardInterrupt: After SIGINT.
        """
        self._save(loop)
        self._leave()

    def resume(self, loop: "Loop") -> None:
        """Restore the loop from the checkpoint, if there is a valid one; rank 0 reads it."""
        state = read_checkpoint(self.file, self.identity) if distributed.rank() == 0 else None
        state = distributed.broadcast(state)
        if state is not None:
            _restore(loop, state)
            loop.checkpoint_file = self.file

    def _save(self, loop: "Loop") -> None:
        state = _state_of(loop)  # all ranks take part
        if distributed.rank() == 0 and is_finite(loop.module.net):
            loop.call("on_checkpoint")
            write_checkpoint(self.file, self.identity, state)
            loop.checkpoint_file = self.file

    def _leave(self) -> NoReturn:
        self.signals.obey()
        raise SystemExit(TERMINATED)  # the signal came to another rank


def _state_of(loop: "Loop") -> State:
    totals = loop.totals.over_ranks()
    return {
        **{key: getattr(loop, key) for key in _LOOP_KEYS},
        "net": loop.module.net.state_dict(),
        "step": loop.step.state_dict(),
        "sums": totals.sums,
        "counts": totals.counts,
        # By class: of those that have a state, one of a class; TensorBoard's come and go.
        "callbacks": {
            type(callback).__name__: callback_state
            for callback in loop.callbacks
            if (callback_state := callback.state_dict())
        },
    }


def _restore(loop: "Loop", state: State) -> None:
    # Into the network's own state dict: it holds the version of each layer, the file does not.
    weights = loop.module.net.state_dict()
    weights.update(state["net"])
    loop.module.net.load_state_dict(weights)
    loop.step.load_state_dict(state["step"])
    for key in _LOOP_KEYS:
        setattr(loop, key, state[key])
    if distributed.rank() == 0:  # the totals of all ranks: the others start at 0
        loop.totals.sums, loop.totals.counts = state["sums"], state["counts"]
    for callback in loop.callbacks:
        if type(callback).__name__ in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][type(callback).__name__])


class _UnusableError(Exception):
    """The checkpoint is damaged, or of another training."""


def _read_valid(file: Path, identity: Mapping[str, object]) -> State:
    data = memoryview(file.read_bytes())
    body, written_digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if digest(body) != written_digest:
        raise _UnusableError("is damaged")
    state: State = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if state.pop("identity") != _as_text(identity):
        raise _UnusableError("is of another training")
    return state


def _as_text(identity: Mapping[str, object]) -> str:
    return json.dumps(identity, sort_keys=True, default=str)

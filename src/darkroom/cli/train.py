"""darkroom train: train in this process, or in several under torchrun.

`train.devices: 4` runs the same command again in four processes, started by torchrun's agent on
this machine. For several machines torchrun is started by hand, or by SLURM; see docs/training.md.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.cli import begin
from darkroom.errors import LostRankError, ResourceError
from darkroom.project import processes
from darkroom.project.paths import Fold
from darkroom.stages._context import Context

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from darkroom.training.callbacks import Callback

LAUNCHER = "DARKROOM_LAUNCHER"  # the process id of the launcher, in its children's environment
SHUTDOWN_TIMEOUT_S = 120  # for the ranks to save a checkpoint before they are killed


def run(context: Context, fold: Fold = 0) -> int:
    """Train one fold of a competition, and return the exit code.

    `train.devices` processes of this machine train together; where torchrun has started this
    process, the processes that it started do.
    """
    code = launch_devices(context, ["train", context.name, "--fold", str(fold)])
    if code is not None:
        return code
    # Imported here, as the launcher does not use it.
    from darkroom.stages import train  # noqa: PLC0415
    from darkroom.training.distributed import process_group  # noqa: PLC0415
    from darkroom.training.tensorboard.callbacks import callbacks  # noqa: PLC0415
    from darkroom.training.tensorboard.hparams import flat  # noqa: PLC0415
    from darkroom.training.trackers.by_name import trackers  # noqa: PLC0415

    def make_callbacks(events: Path, *arguments: Any, **options: Any) -> Sequence["Callback"]:
        shown = dict(flat(options["hyperparameters"]))
        named = trackers(context.section.train.loggers, events, shown)
        return [*callbacks(events, *arguments, **options), *named]

    begin()
    with process_group():
        train.run(context, fold, make_callbacks=make_callbacks)
    return 0


def launch_devices(context: Context, arguments: Sequence[str]) -> int | None:
    """Run `darkroom ARGUMENTS` in `train.devices` processes, and return the exit code.

    None where this process is to train: alone, as one of these, or as one that torchrun started.
    """
    devices = context.section.train.devices
    if devices > 1 and not processes.is_under_torchrun():
        _check_devices(devices, context.section.train.accelerator)
        return launch(devices, arguments)
    if is_child():
        processes.end_with_parent(int(os.environ[LAUNCHER]))
    return None


def _check_devices(count: int, accelerator: str) -> None:
    """Refuse more processes than the machine has GPUs or cores, before any of them starts.

    Raises:
        ParamsError: There is no such accelerator.
        ResourceError: There are fewer GPUs, or on a CPU fewer cores (two processes always may).
    """
    import torch  # noqa: PLC0415  (slow, and other commands import this module too)

    from darkroom.models.device import choose_device  # noqa: PLC0415

    on_gpu = choose_device(accelerator).type == "cuda"
    present = torch.cuda.device_count() if on_gpu else max(2, processes.cores())
    if count > present:
        raise ResourceError(
            f"this machine has fewer {'GPUs' if on_gpu else 'cores'} than train.devices",
            found=present,
            expected=count,
            fix=f"set train.devices to {present}",
        )


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `darkroom ARGUMENTS` in so many processes of this machine, and return the exit code.

    Raises:
        ResourceError: One of the processes was killed.
        KeyboardInterrupt: A SIGINT came; the processes have saved a checkpoint and ended.
    """
    import torch  # noqa: PLC0415  (slow, and other commands import this module too)
    from torch.distributed.elastic.multiprocessing import (  # noqa: PLC0415
        DefaultLogsSpecs,
        SignalException,
    )
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    begin()
    # torchrun would set a single thread for each.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // count)))
    os.environ[LAUNCHER] = str(os.getpid())
    # Its warnings speak of what is meant here, once a process.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    logging.disable(logging.ERROR)  # the error of a lost process is printed below instead
    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,  # a new run resumes from the checkpoint
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, sys.executable)("-P", "-m", "darkroom.cli.main", *arguments)
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            return 128 + int(error.sigval)
        except ChildFailedError as error:
            return _exit_code(error.failures.values(), count)
        finally:
            del os.environ[LAUNCHER]
    return 0


def is_child() -> bool:
    """Return whether this process was started by `launch`."""
    return os.environ.get(LAUNCHER, "").isdecimal() and "TORCHELASTIC_ERROR_FILE" in os.environ


def hand_over(message: str, exit_code: int) -> None:
    """Give a process's error to its launcher, which prints the first one only."""
    error = {"message": message, "timestamp": int(time.time()), "exit_code": exit_code}
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(error))


def _exit_code(failures: "Collection[ProcessFailure]", count: int) -> int:
    """Print the message of the process that failed first, and return its exit code."""
    first = min(failures, key=lambda failure: (_follows_another(failure), failure.timestamp))
    message = first.error_file_data["message"]
    if first.exitcode < 0 and message == "<NONE>":
        raise ResourceError(
            f"process {first.local_rank} of the {count} that train together was lost",
            found=f"it was killed by {first.signal_name()}",
            fix="run again: training resumes from its last checkpoint; or set train.devices to 1",
        )
    if message != "<NONE>":
        print(message, file=sys.stderr)
    return int(first.error_file_data.get("exit_code", first.exitcode))


def _follows_another(failure: "ProcessFailure") -> int:
    """Return 0 for what may have ended the others, 1 for what ended because another did."""
    if failure.exitcode == LostRankError.exit_code:  # its connection broke
        return 1
    has_message = failure.error_file_data["message"] != "<NONE>"
    return int(failure.exitcode == -signal.SIGTERM and not has_message)  # torchrun stopped it

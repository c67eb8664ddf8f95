"""Weights & Biases and MLflow: each epoch's losses and metrics, as `train.loggers` names them.

Both packages are extras, imported where they are named alone. Where they write, and whether they
use the network, is theirs to say: WANDB_MODE=offline, MLFLOW_TRACKING_URI. A training that is gone
on from after an interruption continues its run. Results never depend on a tracker: where one fails,
a line says so, and the training goes on.
"""

import importlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.errors import ParamsError
from darkroom.project import files
from darkroom.project.packages import EXTRAS
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.module import Metrics

if TYPE_CHECKING:
    from darkroom.training.loop import Loop

MOST_LETTERS = 500  # of a parameter in MLflow
MODES_WITHOUT_LOGIN = ("offline", "dryrun", "disabled")  # of wandb
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false"}
"""Variables that keep the packages from reports to their makers; what is set already counts."""
RUN_FILE = "mlflow_run"  # beside TensorBoard's events: the run to continue


def trackers(
    loggers: Sequence[str], log_dir: Path, hyperparameters: Mapping[str, bool | float | str]
) -> Sequence[Callback]:
    """Return the callbacks of some trackers, which only rank 0 needs.

    Args:
        loggers: Of "wandb" and "mlflow".
        log_dir: Of the training's events, `runs/<competition>/<run>`: it names project and run.
        hyperparameters: What to show beside the run.

    Raises:
        ParamsError: A package is not installed, or would ask for a login.
    """
    if distributed.rank() > 0:
        return []
    chosen = [_KINDS[name](_package(name), log_dir, hyperparameters) for name in loggers]
    for tracker in chosen:
        tracker.require_ready()
    return chosen


def _package(name: str) -> Any:
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        packages = " ".join(EXTRAS[name].values())
        raise ParamsError(
            f"train.loggers: the package {name} is not installed",
            found=error,
            fix=f"run `pip install {packages}`, or remove {name} from train.loggers",
        ) from error
    except (Exception, SystemExit) as error:  # of an old release beside a newer numpy, say
        packages = " ".join(EXTRAS[name].values())
        raise ParamsError(
            f"train.loggers: the package {name} can't be imported",
            found=f"{type(error).__name__}: {error}",
            fix=f"run `pip install --upgrade {packages}`, or remove {name} from train.loggers",
        ) from error


class Tracker(Callback, ABC):
    """Sends the row of each epoch to one tracker; see `darkroom.training.loop.Loop.history`.

    Args:
        package: The imported package.
        log_dir: See `trackers`.
        hyperparameters: Likewise.
    """

    name = ""

    def __init__(
        self, package: Any, log_dir: Path, hyperparameters: Mapping[str, bool | float | str]
    ) -> None:
        self.package, self.log_dir, self.hyperparameters = package, log_dir, hyperparameters
        self._has_failed = False

    def require_ready(self) -> None:
        """Raise ParamsError where the package could not begin, before anything is trained."""

    def on_train_start(self, loop: "Loop") -> None:  # noqa: ARG002
        """Open the run, or the one that an interrupted training began."""
        self._call(self.open_run)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Send the epoch's row."""
        self._call(lambda: self.log_row(loop.history[-1]))

    def on_train_end(self, loop: "Loop") -> None:
        """Close the run; one whose training has not ended stays open for what follows."""
        is_done = loop.should_stop or len(loop.history) == loop.config.epochs
        self._call(lambda: self.close_run(is_done))

    @abstractmethod
    def open_run(self) -> None:
        """Open the run."""

    @abstractmethod
    def log_row(self, row: Metrics) -> None:
        """Send the figures of an epoch."""

    @abstractmethod
    def close_run(self, is_done: bool) -> None:
        """Close the run."""

    def _call(self, action: Callable[[], object]) -> None:
        if self._has_failed:
            return
        try:
            action()
        except Exception as error:  # of the network, the disk, an account ...
            self._has_failed = True
            print(f"{self.name} gets no more of this training: {error}", file=sys.stderr)


class WeightsAndBiases(Tracker):
    """Weights & Biases: a project a competition, a run a training."""

    name = "wandb"

    def require_ready(self) -> None:
        """Refuse where wandb would ask for a login: in a terminal it waits for ever.

        Raises:
            ParamsError: Nobody has logged in, or its settings are invalid.
        """
        try:
            mode = self.package.setup().settings.mode
            is_ready = mode in MODES_WITHOUT_LOGIN or self._has_login()
            reason = "nobody has logged in"
        except Exception as error:  # of its settings, a key of another length ...
            is_ready, reason = False, str(error)
        if not is_ready:
            raise ParamsError(
                "train.loggers: wandb can't begin",
                found=reason,
                fix="run `wandb login`, or set WANDB_API_KEY; with WANDB_MODE=offline it writes to "
                "the disk alone",
            )

    def _has_login(self) -> bool:
        if "prompt" in signature(self.package.login).parameters:  # wandb 0.31 has it, 0.28 not yet
            return bool(self.package.login(prompt=False, verify=False))
        settings = self.package.setup().settings
        return bool(self.package.api.api_key or settings.identity_token_file)

    def open_run(self) -> None:
        """Open or continue the run whose id is the training's fingerprint."""
        files.make_folder(self.log_dir)
        competition, run = self.log_dir.parent.name, self.log_dir.name
        self._run = self.package.init(
            project=competition,
            id=f"{competition}-{run}",
            name=run,
            resume="allow",
            config=dict(self.hyperparameters),
            dir=str(self.log_dir),
        )

    def log_row(self, row: Metrics) -> None:
        """Send the figures; steps are epochs."""
        self._run.log(dict(row), step=int(row["epoch"]))

    def close_run(self, is_done: bool) -> None:
        """Close the run as finished or as stopped."""
        self._run.finish(exit_code=0 if is_done else 1)


class MLflow(Tracker):
    """MLflow: an experiment a competition, a run a training."""

    name = "mlflow"

    def open_run(self) -> None:
        """Open a run, or continue the one whose id lies beside the events."""
        file = self.log_dir / RUN_FILE
        files.make_folder(self.log_dir)  # SQLite makes no folder for MLFLOW_TRACKING_URI
        self.package.set_experiment(self.log_dir.parent.name)
        if file.exists():
            self.package.start_run(run_id=file.read_text().strip())
            return
        run = self.package.start_run(run_name=self.log_dir.name)
        files.write(file, f"{run.info.run_id}\n")
        shown = {key: str(value)[:MOST_LETTERS] for key, value in self.hyperparameters.items()}
        self.package.log_params(shown)

    def log_row(self, row: Metrics) -> None:
        """Send the figures; steps are epochs."""
        figures = {name: value for name, value in row.items() if name != "epoch"}
        self.package.log_metrics(figures, step=int(row["epoch"]))

    def close_run(self, is_done: bool) -> None:
        """Close the run as finished or as stopped."""
        self.package.end_run("FINISHED" if is_done else "KILLED")


_KINDS: dict[str, type[Tracker]] = {each.name: each for each in (WeightsAndBiases, MLflow)}

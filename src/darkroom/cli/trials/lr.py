"""darkroom lr NAME: which learning rate to train with, by the range test.

A plot and its numbers are written to runs/NAME, which neither git nor DVC tracks.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import pandas as pd
from matplotlib.figure import Figure

from darkroom.cli import begin
from darkroom.images.sheets import ACCENT, FAINT, INK, MISSED, PAPER, RIGHT, Colour
from darkroom.project import files
from darkroom.project.paths import Fold
from darkroom.stages import _train_args, train
from darkroom.stages._context import Context
from darkroom.stages.train import FoldTraining
from darkroom.training.trials.lr_range import Suggestion, lr_range_test, smoothed, suggest_lr
from darkroom.training.trials.steps import Step

NEAR = 3.0  # rates that differ by less than this factor train alike
DPI = 130


@_train_args.errors_name_the_file()
def run(context: Context, fold: Fold = 0, steps: int = 100) -> None:
    """Train with rates that grow from step to step, and print and plot what the loss says.

    Args:
        context: The competition.
        fold: Whose training images it learns from.
        steps: From the least rate to the greatest.

    Raises:
        DarkroomError: As the stage train.
    """
    begin()
    ready = train.prepare(_in_one_process(context), fold)
    config = ready.config
    print(
        f"{context.name}, fold {fold}: {ready.summary()}; {config.optimizer}, "
        f"{config.batch_size * config.accumulate} images a step",
        flush=True,
    )
    curve = lr_range_test(
        ready.net,
        ready.train_loader,
        ready.val_loader,
        config,
        objective=ready.objective,
        seed=ready.seed,
        mean=ready.description["mean"],
        std=ready.description["std"],
        mixup=ready.mixup,
        steps=steps,
    )
    suggestion = suggest_lr(curve)
    plot = context.paths.lr_plot(fold)
    title = f"{context.name}, fold {fold}: learning-rate range test"
    files.write(plot, draw(curve, suggestion, current=config.lr, title=title))
    table = pd.DataFrame({"lr": [s.lr for s in curve], "loss": [s.loss for s in curve]})
    files.write(plot.with_suffix(".csv"), table.to_csv(index=False, lineterminator="\n"))
    for line in describe(curve, suggestion, ready):
        print(line)
    print(f"  plot         {plot}; its numbers are in {plot.with_suffix('.csv').name}")


def _in_one_process(context: Context) -> Context:
    """Return a context whose batches one process can hold, and whose steps have as many images."""
    config, section = context.section.train, context.section
    changes = {
        "devices": 1,
        "batch_size": -(-config.batch_size // config.devices),
        "accumulate": config.accumulate * config.devices,
    }
    changed = section.model_copy(update={"train": config.model_copy(update=changes)})
    return replace(context, section=changed)


def describe(
    steps: Sequence[Step], suggestion: Suggestion | None, ready: FoldTraining
) -> list[str]:
    """Return what the steps say, as lines."""
    last = steps[-1].lr
    if suggestion is None:
        return [
            f"  loss         {steps[0].loss:.4g} at first; no rate up to {last:.1e} lowers it",
            "  suggestion   none: more `--steps` show more; if none falls with these either,",
            "               `darkroom train NAME --overfit` finds what keeps it from learning",
        ]
    end = f"diverges at {last:.1e}" if suggestion.diverged else f"does not diverge up to {last:g}"
    return [
        f"  loss         {suggestion.before:.4g} at first, {suggestion.after:.4g} at its least "
        "(smoothed)",
        f"  falls        from a rate of {suggestion.start:.1e} to one of {suggestion.end:.1e}; "
        f"it {end}",
        f"  suggestion   train.lr: {suggestion.lr:g}; {compared(ready.config.lr, suggestion)}",
    ]


def compared(lr: float, suggestion: Suggestion) -> str:
    """Return how params.yaml's rate compares with the suggestion."""
    ratio = lr / suggestion.lr
    now = f"params.yaml has {lr:g}"
    if 1 / NEAR <= ratio <= NEAR:
        return f"{now}, which is as good"
    if suggestion.diverged is not None and lr >= suggestion.diverged:
        return f"{now}, with which the loss diverges"
    if lr >= suggestion.end:
        return f"{now}, above the rate of the least loss: compare both"
    if lr <= suggestion.start:
        return f"{now}, with which the loss hardly falls"
    word = f"{ratio:.2g} times as much" if ratio > 1 else f"a {1 / ratio:.2g}th of it"
    return f"{now}, {word}, within the fall too"


def draw(
    steps: Sequence[Step], suggestion: Suggestion | None, *, current: float, title: str
) -> bytes:
    """Return a PNG of the loss over the learning rate, with the suggestion and params.yaml's."""
    finite = [step for step in steps if math.isfinite(step.loss)]
    rates, losses = [step.lr for step in finite], [step.loss for step in finite]
    smooth = smoothed(losses)
    figure = Figure((7.2, 4.6), dpi=DPI, facecolor=_rgb(PAPER), layout="constrained")
    axes = figure.add_subplot(facecolor=_rgb(PAPER))
    axes.set_title(title, color=_rgb(INK), loc="left")
    axes.plot(rates, losses, color=_rgb(FAINT), linewidth=1, label="loss of a step")
    axes.plot(rates, smooth, color=_rgb(ACCENT), linewidth=2, label="smoothed")
    marks = [("params.yaml", current, MISSED, ":")]
    if suggestion is not None:
        marks.append(("suggestion", suggestion.lr, RIGHT, "--"))
    for name, lr, colour, style in marks:
        axes.axvline(lr, color=_rgb(colour), linestyle=style, label=f"{name}: {lr:g}")
    # The last losses are far above all others, where it diverges.
    low, first = min(losses), smooth[: max(3, len(smooth) // 10)].max()
    room = 0.25 * (first - low) or 1.0
    axes.set_ylim(low - room, max(first, losses[0]) + 2 * room)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.xaxis.label.set_color(_rgb(INK))
    axes.yaxis.label.set_color(_rgb(INK))
    axes.tick_params(which="both", colors=_rgb(FAINT))
    axes.spines[:].set_color(_rgb(FAINT))
    axes.legend(frameon=False, labelcolor=_rgb(INK))
    data = BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def _rgb(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (value / 255 for value in colour)
    return red, green, blue

"""Enter drawn imitations of real competitions by their recipes alone, and ask their judges.

    python -m benchmarks.contests [NAME ...] [--seeds 0 1 2] [--work FOLDER]

DARKROOM_CONTESTS names the folder that holds them. Each is drawn, described by the `data` section
of its recipe as it stands, learned by a small network on one thread, and its submission goes to
the judge. Only the network, the size of pictures and the number of epochs are not the recipe's:
they stand in one table by task.
"""

import argparse
import contextlib
import importlib
import io
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml

from benchmarks import CONTESTS
from darkroom.cli import main as cli

RECIPES = Path(__file__).parents[1] / "recipes"
VERBS = (
    *("fetch", "index", "split", "preprocess", "audit"),
    *("train", "predict", "evaluate", "submission", "check"),
)

RECIPE_OF = {
    "airbus": "airbus-ship-detection",
    "aptos": "aptos2019-blindness-detection",
    "cactus": "aerial-cactus-identification",
    "camvid": "camvid",
    "cassava_parquet": "cassava-leaf-disease-classification",
    "cifar10": "cifar-10",
    "clouds": "understanding_cloud_organization",
    "csiro": "csiro-biomass",
    "digits": "digit-recognizer",
    "dogs_vs_cats": "dogs-vs-cats-redux-kernels-edition",
    "dsb2018": "data-science-bowl-2018",
    "humpback": "humpback-whale-identification",
    "inaturalist_2019": "inaturalist-2019-fgvc6",
    "intel_scenes": "intel-image-classification",
    "iwildcam_2019": "iwildcam-2019-fgvc6",
    "pawpularity": "petfinder-pawpularity-score",
    "planet": "planet-understanding-the-amazon-from-space",
    "plant_pathology_2020": "plant-pathology-2020-fgvc7",
    "plant_pathology_2021": "plant-pathology-2021-fgvc8",
    "protein_atlas": "human-protein-atlas-image-classification",
    "retinopathy": "diabetic-retinopathy-detection",
    "rsna_haemorrhage": "rsna-intracranial-hemorrhage-detection",
    "seedlings": "plant-seedlings-classification",
    "seti": "seti-breakthrough-listen",
    "severstal": "severstal-steel-defect-detection",
    "siim_pneumothorax": "siim-acr-pneumothorax-segmentation",
    "sorghum": "sorghum-id-fgvc-9",
    "state_farm": "state-farm-distracted-driver-detection",
    "uw_madison": "uw-madison-gi-tract-image-segmentation",
}

# What an imitation has otherwise than the competition: smaller masks, fewer classes, another list.
DRAWN_OTHERWISE: dict[str, dict[str, Any]] = {
    "camvid": {"values": {0: "sky", 1: "road", 2: "car", 3: "tree", 255: None}},
    "cassava_parquet": {"train": {"table": "train.parquet"}},
    "clouds": {"runs": {"size": [16, 24]}},
}

_LABELS: dict[str, dict[str, Any]] = {
    "preprocess": {"height": 48, "width": 48},
    "model": {"name": "small_cnn", "width": 16, "depth": 3},
    "train": {"epochs": 6, "batch_size": 16, "lr": 0.01},
}
_MASKS: dict[str, dict[str, Any]] = {
    "preprocess": {"height": 64, "width": 64},
    "model": {"name": "unet", "width": 8, "depth": 3},
    "train": {"epochs": 8, "batch_size": 8, "lr": 0.01},
}
SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "segmentation": _MASKS,
    **dict.fromkeys(("multilabel", "multiclass", "binary", "regression"), _LABELS),
}
FROM_RECIPE = {"preprocess": ("levels",), "evaluate": ("threshold", "separate", "fill_holes")}


@dataclass(frozen=True)
class Trial:
    """What a judge said of one drawn contest.

    Attributes:
        contest: Its name.
        seed: Of the drawing.
        metric: The name that the params have.
        score: The judge's; None: refused, or a stage failed.
        baseline: The score of the answer that never looks.
        want: The score to reach.
        seconds: From the raw files to the checked submission.
        passed: Whether the score is as good as `want`, or better.
        fault: What the judge or the failed stage said; "" if nothing.
    """

    contest: str
    seed: int
    metric: str
    score: float | None
    baseline: float
    want: float
    seconds: float
    passed: bool
    fault: str = ""


def contest_names(folder: Path = CONTESTS) -> list[str]:
    """Return the contests of a folder that have a recipe, sorted."""
    return sorted(name for name in RECIPE_OF if (folder / f"{name}.py").is_file())


def load_contest(name: str, folder: Path = CONTESTS) -> ModuleType:
    """Import a contest, which imports its kit from the same folder."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(name)


def parameters(recipe: str, source: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of params.yaml: a recipe's data, and the small settings of its task.

    Args:
        recipe: Its name.
        source: The folder of the raw files.
        changes: To the recipe's `data`.
    """
    keys = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())
    (name,) = keys["competitions"]
    section = keys[name]
    data = _merged(section["data"], {**changes, "source": str(source)})
    small = SMALL[data["task"]]
    own = {
        part: {key: section[part][key] for key in copied if key in section[part]}
        for part, copied in FROM_RECIPE.items()
    }
    stored = {"fit": "stretch", "store": "raw"} | small["preprocess"] | own["preprocess"]
    fast = {"accelerator": "cpu", "batch_size": 64}
    return {
        "seed": 7,
        "competitions": [name],
        "folds": [0],
        "transfers": [],
        "blends": [],
        "pseudo_labels": [],
        name: {
            "data": data,
            "split": section["split"],
            "preprocess": stored,
            "model": small["model"],
            "train": {"augment": "none", "workers": 0, "accelerator": "cpu", "patience": 100}
            | small["train"],
            "predict": fast,
            "evaluate": own["evaluate"],
        },
    }


def run_stages(params: Mapping[str, Any], work: Path, verbs: Sequence[str] = VERBS) -> str:
    """Run verbs of the only competition in a folder; return what the one that fails says, or ""."""
    (work / "params.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=False))
    (name,) = params["competitions"]
    with contextlib.chdir(work), (work / "log.txt").open("w") as log:
        for verb in verbs:
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = cli.main([verb, name, *(("--fold", "0") if verb == "train" else ())])
            log.write(f"--- {verb}\n{out.getvalue()}")
            if code:
                return f"{verb}: {out.getvalue().strip()}"
    return ""


def run_trial(name: str, seed: int, work: Path, changes: Mapping[str, Any] | None = None) -> Trial:
    """Draw a contest into an empty folder, run every stage there, and judge the submission.

    Args:
        name: Of the contest.
        seed: Of the drawing.
        work: The folder.
        changes: To the recipe's `data`, such as another metric.
    """
    contest = load_contest(name)
    contest.draw(work, seed)
    own = {**DRAWN_OTHERWISE.get(name, {}), **(changes or {})}
    params = parameters(RECIPE_OF[name], work / "raw", own)
    (section,) = params["competitions"]
    began = time.perf_counter()
    fault = run_stages(params, work)
    seconds = time.perf_counter() - began
    score = None
    if not fault:
        submission = work / f"submissions/{section}.csv.gz"
        try:
            score = float(contest.judge(submission, work / "answers"))
        except Exception as error:  # the judge's own class of refusals is in its folder
            fault = f"refused: {error}"
    is_max = contest.better == "max"
    passed = score is not None and (score >= contest.want if is_max else score <= contest.want)
    baseline = float(contest.baseline(work / "answers"))
    metric = params[section]["data"]["metric"]
    return Trial(name, seed, metric, score, baseline, contest.want, seconds, passed, fault)


def table(trials: Iterable[Trial]) -> list[str]:
    """Return the lines of a Markdown table, one a contest, with the scores of its seeds."""
    lines = [
        "| contest | judged by | scores | baseline | wanted | seconds | passed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in groupby(trials, key=lambda each: each.contest):
        tried = list(group)
        scores = ", ".join("-" if each.score is None else f"{each.score:.3f}" for each in tried)
        seconds = sum(each.seconds for each in tried) / len(tried)
        passed = sum(each.passed for each in tried)
        lines.append(
            f"| {name} | {tried[0].metric} | {scores} | {tried[0].baseline:.3f} "
            f"| {tried[0].want:g} | {seconds:.0f} | {passed} of {len(tried)} |"
        )
    return lines


def line(trial: Trial) -> str:
    """Return what is told while contests are tried."""
    score = "-" if trial.score is None else f"{trial.score:.4f}"
    verdict = "passed" if trial.passed else trial.fault or "short"
    head = f"{trial.contest}, seed {trial.seed}: {score}, wanted {trial.want:g}"
    return f"{head}, {trial.seconds:.0f} s: {verdict}"


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the values of another; train and runs key by key."""
    parts = {key: {**one.get(key, {}), **other[key]} for key in ("train", "runs") if key in other}
    return {**one, **other, **parts}


def main(arguments: Sequence[str] | None = None) -> int:
    """Try contests and print a table; return 1 if any falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="of contests (all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--metric", help="to learn and to write by, instead of the recipe's")
    parser.add_argument("--work", type=Path, help="where to keep the projects (nowhere)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    changes = {"metric": options.metric} if options.metric else {}
    trials: list[Trial] = []
    for name in options.names or contest_names():
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                work = options.work.resolve() / f"{name}-{seed}" if options.work else Path(folder)
                work.mkdir(parents=True, exist_ok=True)
                trials.append(run_trial(name, seed, work, changes))
            print(line(trials[-1]), flush=True)
    print("\n".join(["", *table(trials)]))
    return int(not all(each.passed for each in trials))


if __name__ == "__main__":
    sys.exit(main())

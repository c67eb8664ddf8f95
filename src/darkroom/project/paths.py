"""The paths of all inputs and outputs. dvc.yaml names the same ones, and a test compares them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PARAMS = "params.yaml"
CHECKED = Path("data/params.json")
"""What the stage `params` writes, and every other stage waits for."""
OWN_METRICS = Path("metrics")
"""Where metrics of the user's own lie; DVC watches it."""
ALL: Literal["all"] = "all"
Fold = int | Literal["all"]
"""A fold's number; or `all`, which trains on every training image and validates on none."""
DROPPED = Path(".darkroom/dropped")
"""Where it puts aside what earlier parameters left."""


@dataclass(frozen=True)
class Layout:
    """The paths of one competition, relative to the project's root.

    Args:
        name: The competition's name in params.yaml.
        root: The project's root; stages run there, so it is `.`.
        first: Of a blend, its first member, whose raw files, index, split and shards it shares.
    """

    name: str
    root: Path = Path()
    first: str = ""

    @property
    def inputs(self) -> "Layout":
        """The paths of the competition that has the raw files, the index and the shards."""
        return Layout(self.first, self.root) if self.first else self

    def dvc_stage(self, stage: str) -> str:
        """Return how DVC names a stage; of a blend all is done by one, named for all blends."""
        return "blend" if self.first else f"{stage}@{self.name}"

    @property
    def raw(self) -> Path:
        """The raw files, as delivered, and manifest.json."""
        return self.root / "data" / "raw" / self.inputs.name

    @property
    def unpacked(self) -> Path:
        """Large compressed tars, unpacked once for random access; safe to delete."""
        return self.root / ".darkroom" / "unpacked" / self.inputs.name

    @property
    def index(self) -> Path:
        """One row an image."""
        return self.root / "data" / "index" / f"{self.inputs.name}.csv"

    @property
    def card(self) -> Path:
        """What the index's rows mean: task, classes, submission format."""
        return self.index.with_suffix(".json")

    @property
    def class_names(self) -> Path:
        """What people call the classes: of sheets, reports and TensorBoard alone."""
        return self.index.with_suffix(".names.json")

    @property
    def start(self) -> Path:
        """What trainings start from, besides images: the split, and a folder a fold."""
        return self.root / "data" / "start" / self.inputs.name

    @property
    def split(self) -> Path:
        """The fold that each training image validates."""
        return self.start / "split.csv"

    @property
    def split_card(self) -> Path:
        """The digest of the split."""
        return self.split.with_suffix(".json")

    def fold_counts(self, fold: Fold) -> Path:
        """How many images a fold trains on and validates on."""
        return self.start / f"fold{fold}" / "fold.json"

    def first_weights(self, fold: Fold) -> Path:
        """A fold's first weights, from the source that `transfers` names, and what they learned."""
        return self.start / f"fold{fold}" / "weights"

    def pseudo_labels(self, fold: Fold) -> Path:
        """The test images that a fold trains on as well, and their targets."""
        return self.start / f"fold{fold}" / "pseudo"

    @property
    def processed(self) -> Path:
        """Shards, and facts.arrow about every raw image."""
        return self.root / "data" / "processed" / self.inputs.name

    @property
    def facts(self) -> Path:
        """Facts about every raw image and mask, a row each."""
        return self.processed / "facts.arrow"

    @property
    def reports(self) -> Path:
        """Reports for people: audit, metrics, curves, sheets."""
        return self.root / "reports" / self.name

    @property
    def audit(self) -> Path:
        """The audit's report, as JSON."""
        return self.reports / "audit.json"

    @property
    def contact_sheet(self) -> Path:
        """The audit's sample of images, on one page."""
        return self.reports / "contact_sheet.jpg"

    def history(self, fold: Fold) -> Path:
        """Losses and metrics of one fold's training, a row an epoch; it grows while it trains."""
        return self.reports / "history" / f"fold{fold}.csv"

    @property
    def metrics(self) -> Path:
        """The validation scores."""
        return self.reports / "metrics.json"

    @property
    def evaluation(self) -> Path:
        """What says more about the validation scores: images, thresholds, baselines."""
        return self.reports / "evaluation.json"

    @property
    def test_metrics(self) -> Path:
        """The scores of the submission, where the answers are known."""
        return self.reports / "test_metrics.json"

    @property
    def test_evaluation(self) -> Path:
        """What says more about the scores of the submission."""
        return self.reports / "test_evaluation.json"

    @property
    def blend(self) -> Path:
        """Of a blend: its score beside those of its members, and their weights."""
        return self.reports / "blend.json"

    @property
    def decision(self) -> Path:
        """The threshold chosen on validation predictions."""
        return self.reports / "decision.json"

    @property
    def scores(self) -> Path:
        """One row a validation image: what was predicted, and how well."""
        return self.reports / "scores.csv"

    @property
    def curves(self) -> Path:
        """The tables that `dvc plots` draws."""
        return self.reports / "curves"

    @property
    def evaluation_sheet(self) -> Path:
        """The best and the worst validation images."""
        return self.reports / "best_and_worst.jpg"

    def model(self, fold: Fold) -> Path:
        """Weights and model.json of one fold."""
        return self.root / "models" / self.name / f"fold{fold}"

    def predictions(self, part: str, fold: Fold) -> Path:
        """What a fold's network says of a part: "valid", what it validates, or "test"."""
        return self.all_predictions / part / f"fold{fold}.arrow"

    @property
    def all_predictions(self) -> Path:
        """The predictions of all folds and parts; a blend's lie apart from those of networks."""
        return self.root / "data" / ("blends" if self.first else "predictions") / self.name

    @property
    def mixes(self) -> Path:
        """How a blend mixes the predictions of its members, fold by fold."""
        return self.all_predictions / "mixes.json"

    @property
    def submission(self) -> Path:
        """What to upload; its facts lie beside it as .json."""
        return self.root / "submissions" / f"{self.name}.csv.gz"

    @property
    def submission_facts(self) -> Path:
        """What a submission was made with, and its digest."""
        return self.submission.with_name(f"{self.name}.json")

    @property
    def submissions_history(self) -> Path:
        """The submissions and their scores, of all competitions."""
        return self.submission.with_name("history.csv")

    @property
    def history_picture(self) -> Path:
        """The plot of local scores against the leaderboard's."""
        return self.submission.with_name(f"{self.name}_history.png")

    def stamp(self, stage: str, *runs: object) -> Path:
        """A sign that a stage has ended.

        Its path holds the name where no ".." can lead out of the folder: `.dvcignore` lets DVC
        refuse a stage whose stamp is elsewhere, before it removes that stage's old outputs.

        Args:
            stage: Its name.
            runs: The fold and the part of a stage that runs once for each.
        """
        name = "=".join(map(str, (stage, self.name, *runs)))
        return self.root / "data" / "stamps" / f"{name}.stamp"

    def runs(self, fold: Fold, fingerprint: str, label: str = "") -> Path:
        """TensorBoard's events of one training; another fingerprint is another run.

        Args:
            fold: Its fold.
            fingerprint: Of its result.
            label: What people tell runs apart by: the network, the learning rate.
        """
        words = re.sub(r"[^\w.-]+", "_", label)
        name = "-".join(filter(None, (f"fold{fold}", words, fingerprint[:8])))
        return home(self.root) / "runs" / self.name / name

    def lr_plot(self, fold: Fold) -> Path:
        """The plot of a learning-rate range test, with its numbers beside it as .csv."""
        return home(self.root) / "runs" / self.name / f"lr-fold{fold}.png"

    def lock(self, artefact: str) -> Path:
        """The lock of some files of this competition: `index`, `model0`."""
        return self.root / ".darkroom" / f"{self.name}.{artefact}.lock"

    def work(self, fingerprint: str, stage: str = "") -> Path:
        """Unfinished work, by the fingerprint of its result; after a name and a stage, if given."""
        name = f"{self.name}.{stage}." if stage else ""
        return home(self.root) / ".darkroom" / f"{name}{fingerprint[:16]}"


def home(root: Path = Path()) -> Path:
    """Return the root; in the copy where DVC runs a queued experiment, the same folder outside.

    DVC deletes the copy when the experiment ends, and names the project that `.dvc` is of in
    DVC_ROOT: this one, or one that it is a folder of.
    """
    project, place = os.environ.get("DVC_ROOT", ""), root.resolve()
    copies = Path(project, ".dvc/tmp/exps").resolve()
    if not project or copies not in place.parents:
        return root
    inside = [each for each in (place, *place.parents) if copies in each.parents]
    copy = next((each for each in inside if (each / ".dvc").is_dir()), place)
    return Path(project) / place.relative_to(copy)

"""What every stage is given: the parameters of one competition, and its paths."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import ArtifactError
from darkroom.project.paths import Fold, Layout

# At runtime a stage imports the sections that it reads: the others are no dependency of it.
if TYPE_CHECKING:
    from darkroom.params.competition import Blend, Competition, PseudoLabels, Transfer


@dataclass(frozen=True)
class Context:
    """The choices for one competition, and where its files lie.

    Attributes:
        seed: Of the split, the weights and the order of images.
        folds: The folds to train, numbers and perhaps `all`.
        section: The competition's section of params.yaml, validated.
        paths: Where its files lie.
        transfer: Where its first weights come from; None: nothing.
        pseudo_labels: Whose predictions of test images it trains on as well; None: nobody's.
        blend: What it blends; None: it is no blend.
        members: Of a blend: each section whose predictions it blends. Its own section is the
            first's, and so are its raw files, index, split and shards.
        require_unchanged: Raises ArtifactError if parameters, code or inputs of the stage are not
            what it began with. It is called once more when the stage has ended; what takes long
            calls it before its outputs replace older ones, and keeps its half-done work.
    """

    seed: int
    folds: tuple[Fold, ...]
    section: "Competition"
    paths: Layout
    transfer: "Transfer | None" = None
    pseudo_labels: "PseudoLabels | None" = None
    blend: "Blend | None" = None
    members: "tuple[Context, ...]" = ()
    require_unchanged: Callable[[], object] = lambda: None

    @property
    def validated_folds(self) -> list[int]:
        """The folds that have validation images: all that have a number."""
        return [fold for fold in self.folds if isinstance(fold, int)]

    @property
    def name(self) -> str:
        """The competition's name in params.yaml."""
        return self.paths.name


def require(path: Path, stage: str, name: str) -> Path:
    """Return an earlier stage's output.

    Args:
        path: A file or a folder.
        stage: The stage that writes it.
        name: The competition.

    Raises:
        ArtifactError: It is not there.
    """
    if not path.exists():
        raise ArtifactError(
            "it is not there", file=path, fix=f"run `dvc repro {stage}@{name}` first"
        )
    return path

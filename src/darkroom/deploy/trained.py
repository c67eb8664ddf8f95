"""Find trained models, and what stands beside them: params.yaml, the decision and the card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import ArtifactError
from darkroom.index.card import Card
from darkroom.index.table import read_card
from darkroom.models.saved import INFO
from darkroom.params.file import read_params
from darkroom.project.paths import ALL, PARAMS, Fold, Layout

if TYPE_CHECKING:
    from darkroom.params.competition import Competition

MODELS = "models"  # the folder that holds a folder a competition


@dataclass(frozen=True)
class Surroundings:
    """What stands beside the models of a competition; each may be absent.

    Attributes:
        name: The competition.
        paths: Where its files lie.
        section: Its section of params.yaml.
        folds: Those of params.yaml, in its order; () without one.
        card: Of its index.
    """

    name: str
    paths: Layout
    section: "Competition | None" = None
    folds: tuple[Fold, ...] = ()
    card: Card | None = None


def surroundings(models: Path) -> Surroundings | None:
    """Return what stands beside the models of a competition, `models/NAME` of a project.

    None where they lie in no folder of this name.

    Raises:
        ParamsError: params.yaml is there, and invalid.
        ArtifactError: The card is there, and damaged.
    """
    folder = models.absolute()  # not resolved: DVC's links lead to its cache
    if folder.parent.name != MODELS:
        return None
    root = folder.parent.parent
    # Shown in messages as the user wrote it, where that says enough.
    root = models.parent.parent if models.parent.name == MODELS else root
    name, paths = folder.name, Layout(folder.name, root)
    card = read_card(paths.card) if paths.card.is_file() else None
    if not (root / PARAMS).is_file():
        return Surroundings(name, paths, card=card)
    params = read_params(root / PARAMS)
    section = params.sections.get(name)
    return Surroundings(name, paths, section, tuple(params.folds), card)


def is_model(folder: Path) -> bool:
    """Return whether a folder holds one model, and not those of all folds."""
    return (folder / INFO).is_file()


def fold_folders(models: Path, folds: Sequence[Fold]) -> list[Path]:
    """Return the folders of a competition's models.

    Args:
        models: `models/NAME`.
        folds: Which, in order; (): all that are there, by number, `all` last.

    Raises:
        ArtifactError: There is none, or one is absent.
    """
    if not folds:
        names = sorted(path.name for path in models.iterdir()) if models.is_dir() else []
        numbers = [name.removeprefix("fold") for name in names if name.startswith("fold")]
        present = sorted(int(number) for number in numbers if number.isdecimal())
        folds = [*present, *([ALL] if ALL in numbers else [])]
    folders = [models / f"fold{fold}" for fold in folds]
    absent = [folder for folder in folders if not is_model(folder)]
    if absent or not folders:
        raise ArtifactError(
            "there is no trained model here",
            file=absent[0] if absent else models,
            expected=f"{INFO} and its weights",
            fix="train it (`dvc repro`), or fetch it (`dvc pull`)",
        )
    return folders

"""params: params.yaml -> nothing but the word that it was checked; every other stage waits for it.

No name of params.yaml stands in this stage's command or paths, so that it can run whatever the
file holds. It also puts aside what earlier parameters left in folders that later stages read:
DVC records such a folder whole, and what is in it would count as input.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from darkroom.params.competition import Params
from darkroom.params.file import read_params
from darkroom.project import files
from darkroom.project.paths import CHECKED, DROPPED, OWN_METRICS, PARAMS, Layout

_FOLD = re.compile(r"fold(\d+|all)(?:\.csv|\.arrow)?")


def run() -> None:
    """Check params.yaml, and put aside what it no longer names of folds, weights and labels."""
    params = read_params(Path(PARAMS))
    for path in leftovers(params):
        place = _free_place(DROPPED / path)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, place)  # models may be a link to another disk
        print(f"{path} is of earlier parameters: moved to {place}")
    OWN_METRICS.mkdir(exist_ok=True)  # a dependency of `fold`, for metrics of the user's own
    # The same bytes each time: an edit reruns the stages whose parameters it touches, not all.
    files.write(CHECKED, '{"checked": "params.yaml"}\n')


def leftovers(params: Params) -> Iterator[Path]:
    """Yield what folds, transfers and pseudo-labels left behind that the parameters no longer name.

    A fold that a transfer takes its weights from stays. Where there are blends, which depend on all
    of data/predictions, so do the predictions of sections that no longer run.
    """
    if params.blends:
        predictions = Layout(params.competitions[0]).all_predictions.parent
        for folder in files.matching_files(predictions, "*"):
            if folder.name not in params.competitions and folder.name != ".gitignore":
                yield folder
    sources = {Path(transfer.source).resolve() for transfer in params.transfers}
    for name in params.competitions:
        paths = Layout(name)
        predicted = (paths.predictions(part, 0).parent for part in ("valid", "test"))
        models, histories = paths.model(0).parent, paths.history(0).parent
        for folder in (models, histories, paths.start, *predicted):
            for path in files.matching_files(folder, "fold*"):
                fold = _FOLD.fullmatch(path.name)
                if fold and fold[1] not in map(str, params.folds) and not _is_used(path, sources):
                    yield path
        if params.transfer(name) is None:
            weights = map(paths.first_weights, params.folds)
            yield from (path for path in weights if path.exists())
        if params.pseudo_labels_of(name) is None:
            pseudo_labels = map(paths.pseudo_labels, params.folds)
            yield from (path for path in pseudo_labels if path.exists())


def _is_used(path: Path, sources: set[Path]) -> bool:
    place = path.resolve()
    return any(place == source or place in source.parents for source in sources)


def _free_place(path: Path) -> Path:
    """Return the path, or it with a number behind it if something lies there."""
    number = 1
    while (place := path if number == 1 else path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return place

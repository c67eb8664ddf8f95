"""A folder of all that a prediction needs, to upload as a data set of Kaggle.

The folder is flat, because Kaggle's client skips folders, and what it packs instead Kaggle may
unpack otherwise. `bundle.json` says where in a project each file belongs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

from darkroom.deploy.kernel import CONTENTS, Kernel, write_kernel, write_pretty
from darkroom.deploy.wheels import (
    BACKBONE_PACKAGES,
    DECODER_PACKAGES,
    LACKING,
    fetch_wheels,
    write_own_wheel,
)
from darkroom.errors import ParamsError
from darkroom.params.networks import DECODERS
from darkroom.project import files
from darkroom.project.paths import OWN_METRICS, PARAMS, Fold, Layout

DATASET, KERNEL = "dataset", "kernel"
"""The two folders of a bundle."""
METADATA = "dataset-metadata.json"


@dataclass(frozen=True)
class Models:
    """The networks of a bundle.

    Attributes:
        members: The sections that they are of: one, or those that a blend blends.
        folds: Of each of them.
        infos: What model.json says of each.
    """

    members: Sequence[Layout]
    folds: Sequence[Fold]
    infos: Sequence[Mapping[str, Any]]


def project_files(paths: Layout, models: Models) -> list[Path]:
    """Return the files of a project that `darkroom predict NAME --raw` reads, sorted.

    Args:
        paths: Of the section or the blend.
        models: Its networks.
    """
    folders = [member.model(fold) for member in models.members for fold in models.folds]
    own = [paths.root / PARAMS, paths.decision, paths.card, *([paths.mixes] if paths.first else [])]
    networks = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    metrics = files.matching_files(paths.root / OWN_METRICS, "*.py")
    return sorted({*own, *networks, *metrics})


def lacking_packages(infos: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the packages that networks need, and that Kaggle's image lacks.

    Args:
        infos: What model.json says of each network.
    """
    packages = set(LACKING)
    for name in (info["model"]["name"] for info in infos):
        packages |= set(DECODER_PACKAGES if name in DECODERS else ())
        packages |= set(BACKBONE_PACKAGES if name == "timm" else ())
    return packages


def write_bundle(out: Path, kernel: Kernel, paths: Layout, models: Models, cache: Path) -> int:
    """Write a data set and the notebook that uses it; return their size, bytes.

    The folder appears once it is complete. An older bundle there is replaced.

    Args:
        out: The folder.
        kernel: The notebook.
        paths: Of the section or the blend.
        models: Its networks.
        cache: A folder that keeps fetched wheels.

    Raises:
        ParamsError: There is something else in the folder.
        RemoteError: The wheels that Kaggle lacks could not be fetched.
        ResourceError: There is no pip, or no metadata of Darkroom.
    """
    require_place(out)
    with files.atomic_folder(out) as part:
        dataset = part / DATASET
        files.make_folder(dataset)
        requirements = fetch_wheels(lacking_packages(models.infos), dataset, cache)
        wheel = write_own_wheel(dataset)
        names: dict[str, str] = {}
        for path in project_files(paths, models):
            place = path.relative_to(paths.root).as_posix()
            names[place] = place.replace("/", ".")
            copyfile(path, dataset / names[place])
        contents = {
            "name": kernel.name,
            "requirements": [wheel.name.split("-")[0], *requirements],
            "files": names,
        }
        write_pretty(dataset / CONTENTS, contents)
        metadata = {"title": kernel.slug, "id": kernel.ref, "licenses": [{"name": "other"}]}
        write_pretty(dataset / METADATA, metadata)
        files.make_folder(part / KERNEL)
        write_kernel(part / KERNEL, kernel)
        return sum(entry.stat().st_size for entry in files.walk_files(part))


def require_place(out: Path) -> None:
    """Raise ParamsError if a folder holds something that is no bundle."""
    if not out.exists() or (out / DATASET / CONTENTS).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise ParamsError(
            "there is something already that is no bundle",
            file=out,
            expected="a new or empty folder, or an older bundle",
            fix="name another folder, or remove this one",
        )

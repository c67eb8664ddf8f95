"""A folder of all that a prediction needs, to upload as a data set of Kaggle.

The folder is flat, because Kaggle's client skips folders, and what it packs instead Kaggle may
unpack otherwise. `bundle.json` says where in a project each file belongs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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
from darkroom.models.saved import INFO, WEIGHTS
from darkroom.params import document
from darkroom.params.networks import DECODERS
from darkroom.project import files
from darkroom.project.files import file_sha256
from darkroom.project.paths import OWN_METRICS, PARAMS, Fold, Layout
from darkroom.remote.retry import public_address

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
    networks = [folder / name for folder in folders for name in (INFO, WEIGHTS)]
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
        public = public_params((dataset / PARAMS).read_text())
        files.write(dataset / PARAMS, public.encode())
        files.make_folder(part / KERNEL)
        write_kernel(part / KERNEL, kernel)
        metadata = {"title": kernel.slug, "id": kernel.ref, "licenses": [{"name": "other"}]}
        write_pretty(dataset / METADATA, metadata)
        contents = {
            "name": kernel.name,
            "requirements": [wheel.name.split("-")[0], *requirements],
            "files": names,
            "sha256": {place: file_sha256(path) for place, path in _files_in(part)},
        }
        write_pretty(dataset / CONTENTS, contents)
        return sum(entry.stat().st_size for entry in files.walk_files(part))


def public_params(text: str) -> str:
    """Return a params.yaml whose addresses hold no user, password or signature.

    Raises:
        ParamsError: One is written in a way that it can't be found in the text.
    """
    for address in _addresses(document.parse_mapping(text, file=PARAMS)):
        text = text.replace(address, public_address(address))
    for address in _addresses(document.parse_mapping(text, file=PARAMS)):
        if address != public_address(address):
            raise ParamsError(
                "an address holds what is not for others",
                file=PARAMS,
                found=public_address(address),
                fix="write it in one line, without escapes",
            )
    return text


def _addresses(value: object) -> Iterator[str]:
    if isinstance(value, str) and "://" in value:
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _addresses(each)


def require_place(out: Path) -> None:
    """Raise ParamsError if a folder holds something that a bundle would not write there again."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if others := _not_of_a_bundle(out):
        raise ParamsError(
            "there is something already that is of no bundle, or was edited",
            file=out,
            found=", ".join(others[:3]),
            expected="a new or empty folder, or an older bundle as it was written",
            fix="name another folder, or move these files elsewhere",
        )


def _not_of_a_bundle(out: Path) -> list[str]:
    """Return what in a folder is not as `write_bundle` wrote it."""
    if not out.is_dir():
        return [out.name]
    digests: Any = None
    with suppress(OSError, ValueError, LookupError, TypeError):
        digests = json.loads((out / DATASET / CONTENTS).read_text())["sha256"]
    if not isinstance(digests, dict):
        return [place for place, _ in _files_in(out)] or [DATASET]
    return [
        place
        for place, path in _files_in(out)
        if place != f"{DATASET}/{CONTENTS}"
        and (
            place not in digests
            or path.is_symlink()
            or not path.is_file()
            or digests[place] != file_sha256(path)
        )
    ]


def _files_in(folder: Path) -> list[tuple[str, Path]]:
    """Return the files of a folder by their place in it, sorted."""
    paths = [Path(entry.path) for entry in files.walk_files(folder)]
    return sorted((path.relative_to(folder).as_posix(), path) for path in paths)

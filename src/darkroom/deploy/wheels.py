"""Wheels for a machine without a network: Darkroom's own, and those of packages it may lack."""

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile, which
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from darkroom.errors import RemoteError, ResourceError
from darkroom.project import files

PACKAGE = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
"""What Kaggle's image may run; which one it is, the notebook's pip finds out."""
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")

LACKING = {
    "isal": "decompresses gzip and zip",
    "ruamel.yaml": "reads params.yaml",
    "simplejpeg": "decodes JPEG as the training did",
}
"""What Kaggle's image lacks and every prediction needs. It has all else, such as torch."""
DECODER_PACKAGES = ("segmentation-models-pytorch", "timm")
BACKBONE_PACKAGES = ("timm",)
"""By kind of network. Kaggle has a timm, but one release names and builds networks otherwise."""

_SECONDS = 600  # for all downloads of one Python


def write_own_wheel(folder: Path) -> Path:
    """Write a wheel of the Darkroom that runs, installed or a checkout, and return its path.

    The bytes are a function of the package's files and its metadata (PEP 427).

    Raises:
        ResourceError: Darkroom is not installed, so that its metadata are not known.
    """
    try:
        metadata = distribution(PACKAGE.name)
    except PackageNotFoundError:
        raise ResourceError(
            "Darkroom runs from files that are not installed, and a wheel needs its metadata",
            file=PACKAGE,
            fix="install it: `uv sync` in its folder, or `pip install -e .`",
        ) from None
    stem = f"{PACKAGE.name}-{metadata.version}"
    info = f"{stem}.dist-info"
    contents = {
        f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}": path.read_bytes()
        for path in _package_files()
    }
    for name in ("METADATA", "entry_points.txt"):
        contents[f"{info}/{name}"] = (metadata.read_text(name) or "").encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: darkroom bundle\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n"
    )
    record = "".join(_record_line(name, data) for name, data in contents.items())
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = ZipInfo(name)  # with the earliest date that a zip can hold
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    return path


def _package_files() -> Iterator[Path]:
    for entry in files.walk_files(PACKAGE):
        path = Path(entry.path)
        if "__pycache__" not in path.parts:
            yield path


def _record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def fetch_wheels(packages: Collection[str], folder: Path, cache: Path) -> list[str]:
    """Put the wheels of packages, in the versions that are installed here, into a folder.

    Args:
        packages: Their names, without what they need in turn.
        folder: To fill.
        cache: A folder that keeps them: what lies there is not fetched again.

    Returns:
        The requirements, such as "isal==1.9.1".

    Raises:
        RemoteError: The package index has no such wheel, or can't be reached.
        ResourceError: There is no pip here.
    """
    requirements = [f"{name}=={version(name)}" for name in sorted(packages)]
    files.make_folder(cache)
    for python in PYTHONS:
        command = [
            *(*_pip(), "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary", ":all:", "--python-version", python),
            *(f"--platform={platform}" for platform in PLATFORMS),
            *("--find-links", str(cache), "--dest", str(cache)),
        ]
        # Without the index first: it may be out of reach, and is not needed a second time.
        if _run([*command, "--no-index", *requirements]) is not None:
            failure = _run([*command, *requirements])
            if failure is not None:
                raise _no_wheels_error(requirements, python, cache, failure)
    wanted = {f"{_normalised(name)}=={version(name)}" for name in packages}
    for path in files.matching_files(cache, "*.whl"):
        name, number, *_ = path.name.split("-")
        if f"{_normalised(name)}=={number}" in wanted:
            copyfile(path, folder / path.name)
    return requirements


def _normalised(name: str) -> str:
    """Return a package's name as PEP 503 compares them."""
    return re.sub("[-_.]+", "-", name).lower()


def _pip() -> list[str]:
    """Return the command of pip; an environment of uv has none, and uv runs one."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if uv := which("uv"):
        return [uv, "tool", "run", "--quiet", "pip"]
    raise ResourceError("the package pip is needed, and is not installed", fix="install pip")


def _run(command: list[str]) -> str | None:
    """Run pip; return its last line if it fails, else None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {_SECONDS} s"
    if done.returncode == 0:
        return None
    return next(iter(done.stderr.strip().splitlines()[-1:]), f"exit code {done.returncode}")


def _no_wheels_error(
    requirements: list[str], python: str, cache: Path, failure: str
) -> RemoteError:
    return RemoteError(
        "wheels that Kaggle's image lacks could not be fetched from the package index",
        found=f"for Python {python}: {failure}",
        expected=", ".join(requirements),
        fix="run it again where the index can be reached; or put wheels for Python "
        f"{', '.join(PYTHONS)} on Linux x86-64 into {cache}",
    )

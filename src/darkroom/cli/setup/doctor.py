"""doctor: what this machine has for Darkroom, what is wrong with it, and what to do.

It asks no server and imports no torch, unless there is a GPU: whether torch can use that, only
torch knows.
"""

import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import disk_usage, which

from darkroom.cli.setup.recorded_code import read_code
from darkroom.errors import DarkroomError, one_line
from darkroom.project.fingerprint import PACKAGE
from darkroom.project.packages import EXTRAS, missing_modules, version_of
from darkroom.project.paths import PARAMS
from darkroom.project.processes import cores
from darkroom.raw.sources.cache import cache_root

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "pandas", "pyarrow")
OTHER_OPENCVS = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
LEAST_DISK = 5 * 10**9  # bytes: the sample, its cache and models need a fifth of it
LEAST_SHARED = 256 * 2**20  # bytes: a container's default is 64 MiB
TOKENS = (("KAGGLE_API_TOKEN",), ("KAGGLE_USERNAME", "KAGGLE_KEY"))
LOGINS = ("access_token", "access_token.txt", "kaggle.json", "credentials.json")
_GPU_FIELDS = "name,memory.total,driver_version,compute_cap"
_ASK_TORCH = (
    "import torch; torch.zeros(1, device='cuda') + 1; "
    "print(torch.cuda.device_count(), 'of them used by torch')"
)


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        topic: What was looked at.
        text: What was found.
        fix: What to do about it; "" where there is nothing to do.
        is_fault: Whether something fails until that is done; else it is only to be known.
    """

    topic: str
    text: str
    fix: str = ""
    is_fault: bool = False

    def lines(self) -> str:
        """Return what is printed."""
        mark = "WRONG" if self.is_fault else "note" if self.fix else "ok"
        text = f"{mark:<5}  {self.topic:<13}  {one_line(self.text)}"
        return f"{text}\n{'':22}to do: {self.fix}" if self.fix else text


def run() -> int:
    """Print what this machine has, line by line as it is found.

    Returns:
        0; or 5, the code of a ResourceError, if something is wrong.
    """
    faults = 0
    for finding in _findings():
        print(finding.lines(), flush=True)
        faults += finding.is_fault
    print(f"\n{faults} to be mended" if faults else "\nnothing is wrong")
    return 5 if faults else 0


def _findings() -> Iterator[Finding]:
    yield Finding("Darkroom", f"{version_of('darkroom')}, {PACKAGE}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("system", f"{platform.platform()}, {cores()} cores{_memory()}")
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "libraries": libraries,
        "extras": extras,
        "GPU": graphics,
        "disk": lambda: disks(Path()),
        "cache": lambda: disks(cache_root()),
        "shared memory": lambda: shared_memory(Path("/dev/shm")),
        "programs": programs,
        "Kaggle": lambda: [kaggle_account(os.environ, Path("~/.kaggle").expanduser())],
        "params.yaml": lambda: [project()],
    }
    for topic, findings in checks.items():
        yield from _or_why_not(topic, findings)


def _or_why_not(topic: str, findings: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield findings; what keeps them from being looked at is one of its own."""
    try:
        yield from findings()
    except (DarkroomError, OSError, RuntimeError, ValueError) as error:
        fix = "mend this, and run `darkroom doctor` again"
        yield Finding(topic, f"it cannot be looked at: {one_line(error)}", fix, is_fault=True)


def _memory() -> str:
    """Return this machine's memory in words; Windows does not say it."""
    words = ""
    if sys.platform != "win32":
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        words = f", {size / 2**30:.0f} GiB of memory"
    return words


def libraries() -> Iterator[Finding]:
    """Yield the versions that numbers depend on, and two builds of OpenCV in one place."""
    versions = {name: version_of(name) for name in LIBRARIES}
    listed = [f"{name} {version}" for name, version in versions.items() if version]
    yield Finding("libraries", ", ".join(listed))
    others = [name for name in OTHER_OPENCVS if version_of(name)]
    if others and versions["opencv-python-headless"]:
        yield Finding(
            "OpenCV",
            f"installed twice, into one folder: opencv-python-headless and {', '.join(others)}",
            f"pip uninstall {' '.join(others)}, then reinstall opencv-python-headless",
        )


def extras() -> Iterator[Finding]:
    """Yield which extras are installed, and which not."""
    absent = [extra for extra in EXTRAS if missing_modules(extra)]
    present = [extra for extra in EXTRAS if extra not in absent]
    if present:
        yield Finding("extras", ", ".join(present))
    if absent:
        yield Finding(
            "extras",
            f"not installed: {', '.join(absent)}",
            "if you need them, install Darkroom with these extras: README, The first hour",
        )


def graphics() -> Iterator[Finding]:
    """Yield the GPUs, and whether torch can use them."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        yield Finding("GPU", "Apple's, which `accelerator: auto` uses as mps")
        return
    if which("nvidia-smi") is None:
        yield Finding("GPU", "none of NVIDIA's (no nvidia-smi): everything runs on the processor")
        return
    code, text = _output("nvidia-smi", f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader")
    if code:
        yield Finding("GPU", f"nvidia-smi fails: {text}", "reinstall NVIDIA's driver", True)
        return
    for line in text.splitlines():
        yield Finding("GPU", line)
    built_for = _cuda_of_torch()
    if built_for is None:
        yield Finding(
            "torch and GPU",
            "torch is not installed, or built for processors alone",
            "install the build for CUDA: https://pytorch.org/get-started/locally",
            is_fault=True,
        )
        return
    code, text = _output(sys.executable, "-c", _ASK_TORCH, timeout=120)
    words = text.splitlines()[-1] if text else "no answer"
    if code:
        fix = f"install a driver for CUDA {built_for}, or torch for the CUDA that nvidia-smi shows"
        yield Finding("torch and GPU", words, fix, is_fault=True)
    else:
        yield Finding("torch and GPU", f"{words}, built for CUDA {built_for}")


def _cuda_of_torch() -> str | None:
    """Return the version of CUDA that torch is built for, without importing it; None: of none."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = (Path(spec.origin).parent / "version.py").read_text()
    match = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)", text, re.MULTILINE)
    return match[1] if match else None


def _output(*command: str, timeout: float = 10) -> tuple[int, str]:
    """Return a program's exit code and what it printed, warnings and errors only if it failed."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr).strip()


def disks(*folders: Path) -> Iterator[Finding]:
    """Yield whether folders can be written to, and how much room there is."""
    for folder in folders:
        there = absolute = folder.absolute()
        try:
            there = next(path for path in (absolute, *absolute.parents) if path.exists())
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            fix = f"let yourself write to {there}, or work elsewhere"
            yield Finding("write access", f"none to {there}: {error}", fix, is_fault=True)
            continue
        free = disk_usage(there).free
        text = f"{free / 1e9:.1f} GB free for {absolute}, which may be written to"
        yield Finding("disk", text, "" if free >= LEAST_DISK else "free some space")


def shared_memory(place: Path) -> Iterator[Finding]:
    """Yield how much memory processes can share, through which images reach a training."""
    if not place.is_dir():
        return  # not of this system
    size = disk_usage(place).total
    text = f"{size / 2**20:,.0f} MiB, through which loader processes pass images"
    fix = "docker run --shm-size=2g, or train.workers: 0"
    yield Finding("shared memory", text, fix if size < LEAST_SHARED else "")


def programs() -> Iterator[Finding]:
    """Yield git and DVC, and whether this folder is a project of theirs."""
    if which("git") is None:
        fix = "install git: `darkroom submit` records from which commit a file comes"
        yield Finding("git", "not installed", fix)
    else:
        code, _ = _output("git", "rev-parse", "--is-inside-work-tree")
        text = "not a repository here" if code else "a repository"
        yield Finding("git", text, "git init, to compare and submit by commit" if code else "")
    scripts = Path(sysconfig.get_path("scripts"))
    dvc = which("dvc") or which("dvc", path=str(scripts))
    if dvc is None:
        yield Finding("DVC", "not installed", "pip install dvc, to run the pipeline")
        return
    has_folder = any((path / ".dvc").is_dir() for path in (Path.cwd(), *Path.cwd().parents))
    state = "set up here" if has_folder else "not set up here"
    fix = "`darkroom new FOLDER` makes a project; in one of your own: dvc init"
    yield Finding("DVC", f"{version_of('dvc') or dvc}, {state}", "" if has_folder else fix)


def kaggle_account(environment: Mapping[str, str], folder: Path) -> Finding:
    """Return where the token of a Kaggle account is; Kaggle is not asked whether it is valid.

    Args:
        environment: Its variables.
        folder: Where Kaggle's clients keep tokens: ~/.kaggle.
    """
    for names in TOKENS:
        if all(environment.get(name) for name in names):
            return Finding("Kaggle", f"a token in {' and '.join(names)}")
    for name in LOGINS:
        path = folder / name
        if not path.is_file():
            continue
        is_open = os.name == "posix" and path.stat().st_mode & 0o077
        text = f"a token in {path}" + (", which others of this machine may read" if is_open else "")
        return Finding("Kaggle", text, f"chmod 600 {path}" if is_open else "")
    fix = "to fetch from Kaggle or submit: docs/kaggle.md, or kaggle.com/settings/api"
    return Finding("Kaggle", "no account is set up", fix)


def project() -> Finding:
    """Return whether params.yaml stands here, and is valid."""
    if not os.path.lexists(PARAMS):
        fix = "`darkroom new FOLDER` makes a project"
        return Finding("params.yaml", "none in this folder", fix)
    from darkroom.params import file  # noqa: PLC0415  (what stands above needs none)

    try:
        params = file.read_params(Path(PARAMS))
    except DarkroomError as error:
        return Finding("params.yaml", str(error), "`darkroom params` shows it at length", True)
    text = f"valid: {', '.join(params.competitions)}"
    recorded, installed = read_code(Path()).version, version_of("darkroom")
    if recorded and recorded != installed:
        text += f"; set up by darkroom {recorded}"
        return Finding("params.yaml", text, f"`darkroom new .` takes over what {installed} brings")
    return Finding("params.yaml", text)

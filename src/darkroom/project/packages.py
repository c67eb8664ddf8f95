"""The packages that only some commands need, and what to say where one is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from darkroom.errors import ResourceError

EXTRAS = {
    "networks": {
        "timm": "timm",
        "torchvision": "torchvision",
        "segmentation_models_pytorch": "segmentation-models-pytorch",
        "huggingface_hub": "huggingface-hub",
    },
    "train": {
        "albumentations": "albumentations",
        "matplotlib": "matplotlib",
        "scipy": "scipy",
        "sklearn": "scikit-learn",
        "tensorboard": "tensorboard",
    },
    "kaggle": {"kaggle": "kaggle", "kagglehub": "kagglehub", "kagglesdk": "kagglesdk"},
    "dvc": {"dvc": "dvc"},
    "wandb": {"wandb": "wandb"},
    "mlflow": {"mlflow": "mlflow-skinny", "alembic": "alembic", "sqlalchemy": "sqlalchemy"},
    "export": {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
    "dicom": {"pydicom": "pydicom"},
    "7z": {"py7zr": "py7zr"},
}
"""By extra of pyproject.toml: the modules that it brings, and the package of each.

What predicts is no extra, but what a network is built from: `networks`.
"""


def version_of(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def missing_modules(extra: str) -> list[str]:
    """Return the modules of an extra that are not installed, sorted; none is imported."""
    return sorted(module for module in EXTRAS[extra] if find_spec(module) is None)


@cache
def _extra_of(module: str) -> str | None:
    return next((extra for extra, modules in EXTRAS.items() if module in modules), None)


def missing_module_error(
    module: str, *, file: object = None, instead: str = ""
) -> ResourceError | None:
    """Return what to raise where a module is not installed; None if no extra brings it.

    Args:
        module: Its name, perhaps with a part inside it: `kaggle.api`.
        file: What needs it: a raw file.
        instead: What else helps.

    Example:
        >>> print(missing_module_error("pydicom", file="a.dcm"))
        a.dcm: the package pydicom is needed, and is not installed
          to do: pip install pydicom
    """
    top = module.partition(".")[0]
    extra = _extra_of(top)
    if extra is None:
        return None
    # Not by Darkroom's own name, which is another package's on PyPI.
    lacking = {EXTRAS[extra][each] for each in [top, *missing_modules(extra)]}
    command = f"pip install {' '.join(sorted(lacking))}"
    return ResourceError(
        f"the package {EXTRAS[extra][top]} is needed, and is not installed",
        file=file,
        fix=f"{command}, or {instead}" if instead else command,
    )


@contextmanager
def extras_needed(*, file: object = None, instead: str = "") -> Iterator[None]:
    """Turn the ImportError of a package of an extra, in the block, into a ResourceError.

    Args:
        file: What needs it: a raw file.
        instead: What else helps.

    Raises:
        ResourceError: It is not installed; the message has the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        lack = missing_module_error(error.name or "", file=file, instead=instead)
        if lack is None:
            raise
        raise lack from error

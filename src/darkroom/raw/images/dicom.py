"""Read DICOM files as images: one frame, grey or colour, by pydicom (the extra `dicom`).

Grey values are rescaled (slope and intercept, PS3.3 C.11.1), windowed (C.11.2) and, where
MONOCHROME1 says that the least value is white, inverted. All claims of the header are checked
before pixels are decoded. See https://dicom.nema.org/medical/dicom/current/output/chtml/part03/.
"""

import io
import logging
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.errors import DataError
from darkroom.images.levels import KEY
from darkroom.project.packages import extras_needed

PREFIX_AT, PREFIX = 128, b"DICM"
SUFFIXES = (".dcm", ".dicom")

_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a bomb would be inflated before anything can be checked
_META_BYTES = 4096
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_EXACT, _LINEAR = "LINEAR_EXACT", "LINEAR"
logging.getLogger("pydicom").addHandler(logging.NullHandler())  # errors are reported as DataError


@dataclass(frozen=True)
class Frame:
    """The picture of a DICOM file.

    Attributes:
        values: float32 (H, W, 1), rescaled; or uint8 (H, W, 3), RGB.
        window: The values that the file's first window shows as black and white; None: it has none.
        inverted: Whether the least value is white.
        mode: Kind and depth, such as "MONOCHROME2, 12 bits".
    """

    values: NDArray[Any]
    window: tuple[float, float] | None
    inverted: bool
    mode: str


def is_dicom(data: bytes, name: str) -> bool:
    """Return whether a file is DICOM, by its bytes, or by its name where it lacks the preamble."""
    return data[PREFIX_AT : PREFIX_AT + 4] == PREFIX or name.lower().endswith(SUFFIXES)


def read_frame(data: bytes, *, name: str, most_pixels: int, windowed: bool = True) -> Frame:
    """Return the picture of a DICOM file.

    Args:
        data: Of the file.
        name: Of the file, for messages.
        most_pixels: A header that claims more is refused.
        windowed: Whether the file's window is wanted.

    Raises:
        DataError: It is damaged, of several frames, too large, of a kind that is no picture, or
            compressed in a way that nothing here can decode.
        ResourceError: pydicom is not installed.
    """
    dataset = _dataset(data, name)
    _check_claims(dataset, name, most_pixels)
    _check_decoder(dataset, name)
    kind = str(dataset.PhotometricInterpretation)
    with warnings.catch_warnings():
        # Of a compressed picture, the decoder opens what it finds: not far beyond the claim.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        pixels: NDArray[Any] = dataset.pixel_array
    mode = f"{kind}, {dataset.get('BitsStored', dataset.BitsAllocated)} bits"
    if kind in _COLOURS:
        return Frame(_colours(pixels, name), None, False, mode)
    values = _rescaled(dataset, pixels).astype(np.float32)
    window = _window(dataset, name) if windowed else None
    return Frame(values[:, :, None], window, kind == "MONOCHROME1", mode)


def _dataset(data: bytes, name: str) -> Any:
    """Return pydicom's data set of a file, in which pixels are not decoded yet."""
    with extras_needed(file=name):
        import pydicom  # noqa: PLC0415  (an extra)

    if _DEFLATED in data[:_META_BYTES]:
        raise _undecodable(name, "Deflated Explicit VR Little Endian", "")
    has_preamble = data[PREFIX_AT : PREFIX_AT + 4] == PREFIX
    return pydicom.dcmread(io.BytesIO(data), force=not has_preamble)


def _check_claims(dataset: Any, name: str, most_pixels: int) -> None:
    """Refuse what is no single picture, or too large, before anything is allocated for it."""
    for key in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        if dataset.get(key) in (None, ""):
            raise DataError("not a picture in DICOM, or damaged", file=name, found=f"no {key}")
    height, width = int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(
            "the file holds several pictures",
            file=name,
            found=f"{frames} frames",
            expected="one",
            fix="store each frame as a file of its own",
        )
    if not 0 < height * width <= most_pixels:
        raise DataError(
            "the header claims no picture, or too large a one",
            file=name,
            found=f"{width} x {height} pixels",
            expected=f"1 to {most_pixels} pixels",
        )
    kind = str(dataset.PhotometricInterpretation)
    bits = int(dataset.BitsAllocated)
    if kind not in (*_GREYS, *_COLOURS) or (kind in _COLOURS and bits != 8):
        raise DataError(
            "a kind of DICOM that is not read",
            file=name,
            found=f"{kind}, {bits} bits",
            expected=f"{', '.join(_GREYS)}, or RGB or YBR of 8 bits",
            fix="convert it to one of these",
        )
    slope = _first(dataset.get("RescaleSlope"))
    if kind in _GREYS and slope is not None and (slope == 0 or not math.isfinite(slope)):
        raise DataError(
            "the header makes all pixels one grey",
            file=name,
            found=f"a rescale slope of {slope:g}",
            expected="another number than 0",
            fix="download it again, or leave this image out (data.train.where)",
        )
    samples = 1 if kind in _GREYS else 3
    if int(dataset.get("SamplesPerPixel") or 1) != samples:
        raise DataError(
            "the header contradicts itself",
            file=name,
            found=f"{dataset.get('SamplesPerPixel')} samples a pixel",
            expected=f"{samples}, as of {kind}",
        )


def _check_decoder(dataset: Any, name: str) -> None:
    """Refuse a compression that no installed package decodes."""
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415  (optional)

    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_compressed:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise _undecodable(name, syntax.name, "") from None
    if not decoder.is_available:
        packages = [each.split(" - ")[0] for each in decoder.missing_dependencies]
        raise _undecodable(name, syntax.name, f"install {' or '.join(packages)}, or ")


def _undecodable(name: str, syntax: str, advice: str) -> DataError:
    return DataError(
        "a compression of DICOM that nothing here decodes",
        file=name,
        found=syntax,
        expected="uncompressed, RLE, JPEG or JPEG 2000",
        fix=f"{advice}convert the files to an uncompressed transfer syntax",
    )


def _colours(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DataError(
            "not a picture in colour", file=name, found=f"{pixels.dtype} {pixels.shape}"
        )
    return np.ascontiguousarray(pixels)


def _rescaled(dataset: Any, pixels: NDArray[Any]) -> NDArray[Any]:
    from pydicom.pixels.processing import apply_modality_lut  # noqa: PLC0415  (optional)

    return apply_modality_lut(pixels, dataset)


def _window(dataset: Any, name: str) -> tuple[float, float] | None:
    """Return the values that the first window shows as 0 and 255 (PS3.3 C.11.2.1.2 and .3)."""
    centre, width = (_first(dataset.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    shape = str(dataset.get("VOILUTFunction") or _LINEAR)
    if shape == _EXACT and width > 0:
        return centre - width / 2, centre + width / 2
    if shape == _LINEAR and width >= 1:
        half = max((width - 1) / 2, 1e-3)  # of width 1: a threshold
        return centre - 0.5 - half, centre - 0.5 + half
    raise DataError(
        "a window that is not linear",
        file=name,
        found=f"{shape}, centre {centre:g}, width {width:g}",
        expected=f"{_LINEAR} or {_EXACT}, of width 1 or more",
        fix=f"set {KEY}: auto, or [lo, hi]",
    )


def _first(value: Any) -> float | None:
    """Return a number, or the first of several; None where there is none."""
    if value is None or value == "":
        return None
    values = value if isinstance(value, list | tuple) or hasattr(value, "__iter__") else [value]
    return next((float(each) for each in values), None)

"""DICOM: values known by hand, and files that are damaged or lie."""

import io
import sys
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
import simplejpeg

from darkroom.errors import DataError, ResourceError
from darkroom.raw.images import pictures
from darkroom.raw.images.pictures import map_samples, read_samples

pydicom = pytest.importorskip("pydicom")

VALUES = np.array([[-1000, 0, 40], [79, 80, 1500]], np.int16)  # Hounsfield units


def dicom(values: np.ndarray = VALUES + 1024, **tags: Any) -> bytes:
    """Return a DICOM of these stored values; tags set to None are left out."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = tags.pop("syntax", pydicom.uid.ExplicitVRLittleEndian)
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    bits = values.dtype.itemsize * 8
    usual = {
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": values.shape[2] if values.ndim == 3 else 1,
        "PhotometricInterpretation": "RGB" if values.ndim == 3 else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "PixelData": values.tobytes(),
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
    }
    if values.ndim == 3:
        usual |= {"PlanarConfiguration": 0, "RescaleIntercept": None, "RescaleSlope": None}
    for name, value in (usual | tags).items():
        if value is not None:
            setattr(dataset, name, value)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def bytes_of(data: bytes, levels: Any = None) -> list[list[int]]:
    samples = read_samples(data, name="a.dcm", levels=levels)
    (pixels,) = map_samples([samples], levels, name="a.dcm")
    levels_of: list[list[int]] = pixels[:, :, 0].tolist()
    return levels_of


def test_the_files_first_window_maps_rescaled_values() -> None:
    """PS3.3 C.11.2.1.2.1: centre 40, width 81 is 39.5 +- 40: -0.5 is black, 79.5 white."""
    data = dicom(WindowCenter=[40, 600], WindowWidth=[81, 3000])
    assert bytes_of(data) == [[0, 2, 129], [253, 255, 255]]
    assert bytes_of(dicom(WindowCenter=40, WindowWidth=81)) == bytes_of(data)
    exact = dicom(WindowCenter=40, WindowWidth=80, VOILUTFunction="LINEAR_EXACT")
    assert bytes_of(exact) == [[0, 0, 128], [252, 255, 255]]
    assert bytes_of(dicom(WindowCenter=40, WindowWidth=1)) == [[0, 0, 255], [255, 255, 255]]


def test_levels_are_of_rescaled_values_and_come_before_the_window() -> None:
    data = dicom(WindowCenter=40, WindowWidth=81, RescaleSlope=2)
    raw = 2 * (VALUES.astype(int) + 1024) - 1024
    expected = np.rint(((raw - 1000) / 1000).clip(0, 1) * 255)
    assert bytes_of(data, (1000, 2000)) == expected.tolist()
    sigmoid = dicom(WindowCenter=40, WindowWidth=80, VOILUTFunction="SIGMOID")
    assert bytes_of(sigmoid, (0, 80)) == [[0, 0, 128], [252, 255, 255]]
    with pytest.raises(DataError, match=r"(?s)not linear.*SIGMOID.*preprocess\.levels"):
        bytes_of(sigmoid)


def test_without_a_window_levels_are_the_images_own() -> None:
    assert bytes_of(dicom()) == bytes_of(dicom(), "auto")
    assert (bytes_of(dicom())[0][0], bytes_of(dicom())[1][2]) == (0, 255)


def test_monochrome1_is_inverted() -> None:
    data = dicom(PhotometricInterpretation="MONOCHROME1", WindowCenter=40, WindowWidth=81)
    assert bytes_of(data) == [[255, 253, 126], [2, 0, 0]]


def test_colours_of_8_bits_are_kept() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    samples = read_samples(dicom(pixels), name="a.dcm")
    assert np.array_equal(samples.values, pixels)


def test_luminance_and_chroma_become_rgb() -> None:
    rows, columns = np.mgrid[:48, :64]
    rgb = np.stack([rows * 5, columns * 3, 255 - rows * 5], axis=2).astype(np.uint8)
    ybr = pydicom.pixels.processing.convert_color_space(rgb, "RGB", "YBR_FULL")
    samples = read_samples(dicom(ybr, PhotometricInterpretation="YBR_FULL"), name="a.dcm")
    assert np.abs(samples.values.astype(int) - rgb).max() <= 2


def test_a_file_without_preamble_is_known_by_its_name() -> None:
    data = dicom(WindowCenter=40, WindowWidth=81)
    assert pictures.read_samples(data[132:], name="a.DCM").header.height == 2
    with pytest.raises(DataError, match="not an image"):
        pictures.read_samples(data[132:], name="a.png")


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "60,000 x 60,000": ({"Rows": 60_000, "Columns": 60_000}, "too large"),
    "more rows than pixels": ({"Rows": 200}, "cannot decode"),
    "no rows": ({"Rows": None}, "no Rows"),
    "no pixels": ({"PixelData": None}, "cannot decode"),
    "slope of 0": ({"RescaleSlope": 0}, "all pixels one grey\n  found: a rescale slope of 0"),
    "several frames": ({"NumberOfFrames": 7}, "several pictures"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "not read"),
    "two samples": ({"SamplesPerPixel": 2}, "contradicts"),
    "deflated": ({"syntax": "1.2.840.10008.1.2.1.99"}, "nothing here decodes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_without_a_warning(
    name: str, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    tags, words = HOSTILE[name]
    data = dicom(**tags)
    tracemalloc.start()
    with pytest.raises(DataError, match=words):
        read_samples(data, name="a.dcm")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("end", [133, 200, 400, -1])
def test_a_cut_file_is_refused(end: int) -> None:
    with pytest.raises(DataError, match=r"^a\.dcm"):
        read_samples(dicom()[:end], name="a.dcm")


def test_a_compression_that_cannot_be_decoded_says_what_to_install() -> None:
    jpeg = pydicom.dcmread(io.BytesIO(dicom()))
    jpeg.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    jpeg.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    file = io.BytesIO()
    jpeg.save_as(file, enforce_file_format=True)
    with pytest.raises(DataError, match=r"(?s)nothing here decodes.*JPEG Lossless.*install "):
        read_samples(file.getvalue(), name="a.dcm")


def compressed(syntax: str, frame: bytes, values: np.ndarray, **tags: Any) -> bytes:
    """Return a DICOM whose picture is one compressed frame."""
    dataset = pydicom.dcmread(io.BytesIO(dicom(values, **tags)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pydicom.encaps.encapsulate([frame])
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_compressed_pictures_are_decoded() -> None:
    grey = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64) // 13
    values = grey.astype(np.uint8)
    jpeg = simplejpeg.encode_jpeg(values[:, :, None].copy(), 95, "GRAY", colorsubsampling="Gray")
    plain = {"RescaleIntercept": 0, "WindowCenter": 128, "WindowWidth": 256}
    data = compressed(pydicom.uid.JPEGBaseline8Bit, jpeg, values, **plain)
    assert np.abs(np.array(bytes_of(data)) - values).max() <= 6
    dataset = pydicom.dcmread(io.BytesIO(dicom(values, **plain)))
    dataset.compress(pydicom.uid.RLELossless)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    assert np.array_equal(bytes_of(file.getvalue()), values)


def test_a_frame_far_larger_than_the_header_claims_is_refused() -> None:
    values = np.zeros((48, 64), np.uint8)
    huge = bytearray(simplejpeg.encode_jpeg(values[:, :, None].copy(), 90, "GRAY", "Gray"))
    size = huge.index(b"\xff\xc0") + 5
    huge[size : size + 4] = b"\xff\xff\xff\xff"  # 65,535 x 65,535
    tracemalloc.start()
    with pytest.raises(DataError, match="cannot decode"):
        read_samples(compressed(pydicom.uid.JPEGBaseline8Bit, bytes(huge), values), name="a.dcm")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_without_pydicom_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicom()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ResourceError, match=r"pip install pydicom"):
        read_samples(data, name="a.dcm")

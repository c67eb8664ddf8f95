"""The 51 files that are damaged: each artefact and each raw format, and what reads it."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support import tiny

Read = Callable[[Path], object]

DIGITS = 16  # of a digest, enough to tell contents apart


@dataclass(frozen=True)
class SeedFile:
    """A file that is sound.

    Attributes:
        path: Where it lies in the project.
        read: Takes that path, with the project as current folder, and returns its contents.
        has_checksum: A change of its contents is always noticed: by the format, or by us.
        write: Writes it, if it is none of the project's artefacts.
    """

    path: str
    read: Read
    has_checksum: bool = False
    write: Callable[[Path], object] | None = None


def digest(value: object) -> str:
    """Return a short digest of contents: of arrays and tensors the bytes, of the rest the text."""
    return hashlib.sha256(_bytes(value)).hexdigest()[:DIGITS]


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        return b"".join(_bytes(key) + b"=" + _bytes(value[key]) for key in value)
    if isinstance(value, list | tuple):
        return b"[" + b",".join(map(_bytes, value)) + b"]"
    if hasattr(value, "numpy"):  # a tensor
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    return repr(value).encode()


def _context() -> Any:
    from darkroom.cli.main import read_context

    return read_context(tiny.NAME)


def _index(_: Path) -> object:
    from darkroom.index.table import read_index

    paths = _context().paths
    index = read_index(paths.index, paths.card)
    return [index.card, index.rows.to_csv()]


def _part(part: str, _: Path) -> object:
    from darkroom.index.table import read_index
    from darkroom.stages._inputs import read_part

    paths = _context().paths
    store, rows = read_part(paths, read_index(paths.index, paths.card), part)
    images = [store.image(row) for row in range(len(store))]
    masks = [store.mask(row) for row in range(len(store))]
    return [images, masks, store.originals, rows.to_csv()]


def _split(_: Path) -> object:
    from darkroom.index.split import check_split
    from darkroom.index.table import read_index
    from darkroom.stages._split import read_split

    paths = _context().paths
    rows, split = read_index(paths.index, paths.card).rows, read_split(paths)[0]
    check_split(rows[rows["part"] == "train"], split)
    return split.to_csv()


def _audit(_: Path) -> object:
    from darkroom.stages import audit

    audit.run(_context())
    return Path(f"reports/{tiny.NAME}/audit.json").read_bytes()


def _model(path: Path) -> object:
    from darkroom.models.saved import load_model

    net, info = load_model(path.parent)
    return [dict(net.state_dict()), {key: info[key] for key in sorted(info)}]


def _weights(path: Path) -> object:
    from darkroom.models.weights.reading import read_weights

    weights = read_weights(path)
    return {key: weights[key] for key in sorted(weights)}


def _first_weights(path: Path) -> object:
    from darkroom.stages._leaks import read_first_images

    return [read_first_images(_context().paths, 0), _weights(path)]


def _checkpoint(path: Path) -> object:
    from darkroom.training.checkpoint import read_checkpoint

    state = read_checkpoint(path, {"of": "a test"})
    if state is None:
        from darkroom.errors import ArtifactError

        raise ArtifactError("training starts afresh")  # after a line on stderr
    return state


def _decision(path: Path) -> object:
    from darkroom.prediction.decision import read_decision

    return read_decision(path, tiny.NAME, "segmentation")


def _submission(path: Path) -> object:
    from darkroom.cli import check

    check.run(_context())
    return path.with_name(f"{tiny.NAME}.csv.gz").read_bytes()


def _summary(_: Path) -> object:
    from darkroom.cli import summary

    return summary.run()


def _history(path: Path) -> object:
    from darkroom.submission.history.file import read_history

    return read_history(path)


def _pending(path: Path) -> object:
    from darkroom.submission.upload.idempotency import read_pending

    return read_pending(path.parent)


def _record(path: Path) -> object:
    from darkroom.raw.sources.cache import read_record

    return read_record(path.parent)


def _manifest(path: Path) -> object:
    from darkroom.raw.sources.folder import refuse_foreign_files

    refuse_foreign_files(path.parent)
    return None


def _image(path: Path) -> object:
    from darkroom.images.codec import decode_image, read_header

    data = path.read_bytes()
    return [read_header(data, name=path.name), decode_image(data, name=path.name)]


def _samples(path: Path) -> object:
    from darkroom.raw.images.pictures import map_samples, read_samples

    samples = read_samples(path.read_bytes(), name=path.name, levels="auto")
    return [samples.header, map_samples([samples], "auto", name=path.name)]


def _mask(path: Path) -> object:
    from darkroom.images.codec import decode_mask

    return decode_mask(path.read_bytes(), name=path.name)


def _archive(path: Path) -> object:
    from darkroom.raw.archives import Archives

    archives = Archives(path.parent, Path("unpacked"))
    return {member: archives.read(member) for member in archives.paths(path.name)}


def _table(path: Path) -> object:
    from darkroom.raw.archives import Archives
    from darkroom.raw.tables import read_table

    table = read_table(Archives(path.parent, path.parent), path.name)
    return [table.header, table.rows]


def _params(path: Path) -> object:
    from darkroom.params.file import read_params

    return read_params(path)


def _recipe(path: Path) -> object:
    from darkroom.cli.recipes.recipe import merge_recipe, read_recipe
    from darkroom.params.document import read_mapping

    return merge_recipe(read_mapping(Path("params.yaml")), read_recipe(path))


def _write_picture(
    kind: str, path: Path, *, mode: str = "RGB", mask: bool = False, **options: Any
) -> None:
    image, disc = tiny.disc(3, 24, 20)
    pixels = disc * (1 if mode == "P" else 255) if mask else image
    picture = Image.fromarray(pixels)
    if mode == "I;16":
        picture = Image.fromarray(image[..., 0].astype(np.uint16) * 257)
    elif mode == "P" and mask:
        picture.putpalette([0, 0, 0, 255, 255, 255])
    elif mode != picture.mode:
        picture = picture.convert(mode)
    data = io.BytesIO()
    picture.save(data, kind, **options)
    path.write_bytes(data.getvalue())


def _write_archive(path: Path) -> None:
    import zipfile

    from tests.support.packed import tar_of

    members = {f"a/{n}.png": tiny.png(tiny.disc(n, 12, 12)[0]) for n in range(3)}
    members["a/notes.txt"] = b"some text " * 40
    if path.suffix == ".7z":
        import py7zr

        with py7zr.SevenZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(data, name)
        return
    if "zip" not in path.name:
        tar_of(path, members)
        return
    stored = "stored" in path.name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if stored else 8) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, 0 if stored else 8)
    if path.suffix == ".001":
        whole = path.read_bytes()
        path.with_suffix(".002").write_bytes(whole[900:])
        path.write_bytes(whole[:900])


def _write_table(path: Path) -> None:
    from tests.support.packed import zip_of

    rows = "".join(f'{n:03}.jpg,{n % 3},"a, {n}",{n / 7:.3f}\n' for n in range(20))
    text = f"id,label,words,value\n{rows}"
    if path.suffix == ".zip":
        zip_of(path, {path.stem: text.encode()})
    else:
        path.write_text(text)


def _write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.array([f"{n:03}.jpg" for n in range(40)])
    cells = pa.array([[n, 2 * n] for n in range(40)])
    pq.write_table(pa.table({"id": names, "n": pa.array(range(40)), "cells": cells}), path)


def _write_coco(path: Path) -> None:
    images = [{"id": n, "file_name": f"{n:03}.jpg", "width": 4.5} for n in range(12)]
    notes = [{"id": n, "image_id": n % 12, "category_id": n % 3} for n in range(20)]
    kinds = [{"id": n, "name": f"kind {n}"} for n in range(3)]
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": kinds}))


def _write_npy(path: Path) -> None:
    np.save(path, np.arange(4 * 20 * 24, dtype=np.float16).reshape(4, 20, 24))


def _write_dicom(path: Path) -> None:
    from tests.raw.images.test_dicom import dicom

    values = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24)
    path.write_bytes(dicom(values, WindowCenter=200, WindowWidth=400))


def _write_celeba(path: Path) -> None:
    rows = "".join(f"{n:06}.jpg  1 -1  1\r\n" for n in range(1, 12))
    path.write_text(f"11\r\nBald Smiling Young \r\n{rows}")


def _write_pth(path: Path, *, zipped: bool) -> None:
    import torch

    torch.manual_seed(1)
    weight = torch.randn(4, 3)
    if zipped:
        state = {"a.weight": weight, "a.bias": torch.zeros(4), "n": torch.tensor(3)}
        torch.save({"state_dict": state}, path)
        return
    torch.save({"a.weight": weight}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()  # a tensor's key is its address in memory: put zeros in its place
    path.write_bytes(re.sub(rb"\d{12,}", lambda key: b"0" * len(key[0]), data))


def _write_checkpoint(path: Path) -> None:
    import torch

    from darkroom.training.checkpoint import write_checkpoint

    write_checkpoint(path, {"of": "a test"}, {"net": {"w": torch.arange(6.0)}, "epoch": 1})


def _write_history(path: Path) -> None:
    from darkroom.submission.history.file import append_row
    from tests.support.history_rows import ROW

    append_row(path, ROW)


def _write_pending(path: Path) -> None:
    from darkroom.submission.upload.idempotency import PendingUpload, save_pending

    save_pending(path.parent, PendingUpload(path.stem, 1.5e9, 31415926, 2))


def _write_record(path: Path) -> None:
    from darkroom.raw.sources.cache import FolderRecord, SavedFile, write_record

    saved = {"a.csv": SavedFile("a.csv.zip", 7, 1700000000_000000000)}
    write_record(path.parent, FolderRecord({"a.csv": 7, "b.zip": None}, saved))


def _copy_recipe(path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "recipes/carvana-laptop.yaml", path)


N = tiny.NAME
_jpeg = partial(_write_picture, "JPEG", quality=90)
SEEDS: dict[str, SeedFile] = {
    "shard": SeedFile(f"data/processed/{N}/train-00000.arrow", partial(_part, "train"), True),
    "shard of the test part": SeedFile(
        f"data/processed/{N}/test-00000.arrow", partial(_part, "test"), True
    ),
    "digests of the shards": SeedFile(
        f"data/processed/{N}/digests.json", partial(_part, "test"), True
    ),
    "facts": SeedFile(f"data/processed/{N}/facts.arrow", _audit, True),
    "index": SeedFile(f"data/index/{N}.csv", _index, True),
    "card": SeedFile(f"data/index/{N}.json", _index, has_checksum=True),
    "split": SeedFile(f"data/start/{N}/split.csv", _split, has_checksum=True),
    "model.json": SeedFile(f"models/{N}/fold0/model.json", _model, has_checksum=True),
    "weights of a model": SeedFile(f"models/{N}/fold0/model.safetensors", _model, True),
    "first weights": SeedFile(
        f"data/start/{N}/fold0/weights/weights.safetensors", _first_weights, True
    ),
    "pth": SeedFile("loose/a.pth", _weights, True, partial(_write_pth, zipped=True)),
    "old pth": SeedFile("loose/old.pth", _weights, False, partial(_write_pth, zipped=False)),
    "checkpoint": SeedFile("loose/training.ckpt", _checkpoint, True, _write_checkpoint),
    "decision": SeedFile(f"reports/{N}/decision.json", _decision, has_checksum=True),
    "metrics": SeedFile(f"reports/{N}/metrics.json", _summary),
    "submission": SeedFile(f"submissions/{N}.csv.gz", _submission, True),
    "facts of a submission": SeedFile(f"submissions/{N}.json", _submission, True),
    "history": SeedFile("loose/history.csv", _history, False, _write_history),
    "pending upload": SeedFile("pending/0123456789ab.json", _pending, False, _write_pending),
    "record of the cache": SeedFile("cache/listing.json", _record, False, _write_record),
    "manifest": SeedFile(f"data/raw/{N}/manifest.json", _manifest),
    "png": SeedFile("loose/a.png", _image, True, partial(_write_picture, "PNG")),
    "png with a palette": SeedFile(
        "loose/p.png", _image, True, partial(_write_picture, "PNG", mode="P")
    ),
    "png of 16 bits": SeedFile(
        "loose/g16.png", _image, True, partial(_write_picture, "PNG", mode="I;16")
    ),
    "jpeg": SeedFile("loose/a.jpg", _image, False, _jpeg),
    "progressive jpeg": SeedFile("loose/p.jpg", _image, False, partial(_jpeg, progressive=True)),
    "gif": SeedFile("loose/a.gif", _image, False, partial(_write_picture, "GIF", mode="P")),
    "bmp": SeedFile("loose/a.bmp", _image, False, partial(_write_picture, "BMP")),
    "tiff": SeedFile(
        "loose/a.tiff", _image, False, partial(_write_picture, "TIFF", compression="tiff_lzw")
    ),
    "tiff of 16 bits": SeedFile(
        "loose/g16.tif", _samples, False, partial(_write_picture, "TIFF", mode="I;16")
    ),
    "npy": SeedFile("loose/a.npy", _samples, False, _write_npy),
    "dicom": SeedFile("loose/a.dcm", _samples, False, _write_dicom),
    "webp": SeedFile("loose/a.webp", _image, False, partial(_write_picture, "WEBP", lossless=True)),
    "png mask": SeedFile(
        "loose/m.png", _mask, True, partial(_write_picture, "PNG", mode="L", mask=True)
    ),
    "png mask of 1 bit": SeedFile(
        "loose/m1.png", _mask, True, partial(_write_picture, "PNG", mode="1", mask=True)
    ),
    "gif mask": SeedFile(
        "loose/m.gif", _mask, False, partial(_write_picture, "GIF", mode="P", mask=True)
    ),
    "bmp mask": SeedFile(
        "loose/m.bmp", _mask, False, partial(_write_picture, "BMP", mode="L", mask=True)
    ),
    "tiff mask": SeedFile(
        "loose/m.tiff", _mask, False, partial(_write_picture, "TIFF", mode="L", mask=True)
    ),
    "zip": SeedFile("archives/a.zip", _archive, True, _write_archive),
    "stored zip": SeedFile("archives/stored.zip", _archive, True, _write_archive),
    "tar": SeedFile("archives/a.tar", _archive, False, _write_archive),
    "tar.gz": SeedFile("archives/a.tar.gz", _archive, True, _write_archive),
    "7z": SeedFile("archives/a.7z", _archive, True, _write_archive),
    "first part of a zip": SeedFile("parts/a.zip.001", _archive, True, _write_archive),
    "parquet": SeedFile("tables/a.parquet", _table, False, _write_parquet),
    "json of COCO": SeedFile("tables/coco.json", _table, False, _write_coco),
    "zipped table": SeedFile("tables/a.csv.zip", _table, True, _write_table),
    "table": SeedFile("tables/b.csv", _table, False, _write_table),
    "list of CelebA": SeedFile("tables/list_attr.txt", _table, False, _write_celeba),
    "params.yaml": SeedFile("params.yaml", _params),
    "recipe": SeedFile("loose/recipe.yaml", _recipe, False, _copy_recipe),
}

import errno
import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from darkroom.errors import ArtifactError, ResourceError
from darkroom.store.loader import Buffers, Loader, item_seed, loader, lost_workers_reported
from darkroom.store.sampler import class_balanced
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, shard_name, write_shard
from darkroom.training.augment.build import Augmentation, build_augmentation
from darkroom.training.augment.copy_paste import CopyPaste
from tests.store.test_store import HEIGHT, WIDTH, label, picture, rows, write


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(write(tmp_path, "raw"), "train")


def digest(batches: Loader) -> str:
    """Return a hash of every byte of an epoch."""
    state = hashlib.sha256()
    for batch in batches:
        state.update(" ".join(batch.ids).encode())
        for tensor in (batch.images, batch.targets, batch.originals):
            assert tensor is not None
            state.update(tensor.contiguous().numpy().tobytes())
    return state.hexdigest()


def test_a_batch_holds_the_rows_in_the_order_given(store: Store) -> None:
    batches = list(loader(store, [4, 0, 7], None, masks=True, batch_size=2, seed=None))
    assert [batch.ids for batch in batches] == [["car_04", "car_00"], ["car_07"]]
    first = batches[0]
    assert first.images.dtype == torch.uint8
    assert first.images.shape == (2, 3, HEIGHT, WIDTH)
    assert first.images.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(first.images[0].permute(1, 2, 0).numpy(), picture(4))
    assert first.targets is not None
    assert first.targets.dtype == torch.uint8
    assert np.array_equal(first.targets.numpy(), [[label(4)], [label(0)]])
    assert first.originals.tolist() == [[104, 200], [100, 200]]
    assert first.originals.dtype == torch.int64
    assert [len(batch) for batch in batches] == [2, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_given_targets_follow_their_rows(store: Store, dtype: Any) -> None:
    values = np.arange(8, dtype=dtype)
    targets = values if dtype is np.int64 else np.stack([values, -values], axis=1)
    for batch in loader(store, [6, 2], targets, masks=False, batch_size=2, seed=None):
        assert batch.targets is not None
        assert np.array_equal(batch.targets.numpy(), targets[[6, 2]])
        assert batch.targets.numpy().dtype == dtype


def test_masks_are_read_only_on_demand(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "masks", None)
    for batch in loader(store, range(3), None, masks=False, batch_size=2, seed=None):
        assert batch.targets is None


def test_rows_without_a_mask_are_refused_only_where_masks_are_read(tmp_path: Path) -> None:
    mixed = rows("raw", 2) + rows("raw", 1, 2, masks=False)
    path = tmp_path / shard_name("train", 0)
    write_shard(path, mixed, ShardFormat(HEIGHT, WIDTH, "pad", "raw"))
    store = Store(tmp_path, "train")
    with pytest.raises(ArtifactError, match="training images have no mask in the") as fault:
        loader(store, [0, 1, 2], None, masks=True, batch_size=2, seed=None)
    assert "found: 1 of 3 without, such as car_02" in str(fault.value)
    assert f"to do: run the preprocess stage: `dvc repro -sf preprocess@{tmp_path.name}`" in str(
        fault.value
    )
    assert len(list(loader(store, [0, 1], None, masks=True, batch_size=2, seed=None))) == 1
    batches = list(loader(store, [0, 1, 2], None, masks=False, batch_size=3, seed=None))
    assert batches[0].ids == ["car_00", "car_01", "car_02"]


def test_targets_are_masks_or_given(store: Store) -> None:
    with pytest.raises(ValueError, match="pass targets or masks=True, not both"):
        loader(store, [0], np.zeros(8, np.int64), masks=True, batch_size=1, seed=None)


def test_an_epoch_is_a_function_of_the_seed_and_the_epoch(store: Store) -> None:
    batches = loader(store, range(8), None, masks=True, batch_size=3, seed=1, augment=light())
    first = digest(batches)
    assert digest(batches) == first
    batches.start(1)
    assert digest(batches) != first
    batches.start(0)
    assert digest(batches) == first
    assert (
        digest(loader(store, range(8), None, masks=True, batch_size=3, seed=2, augment=light()))
        != first
    )


def test_an_augmented_item_does_not_depend_on_its_batch(store: Store) -> None:
    pictures = []
    for size in (1, 8):
        for batch in loader(
            store, range(8), None, masks=True, batch_size=size, seed=1, augment=light()
        ):
            if "car_03" in batch.ids:
                pictures.append(batch.images[batch.ids.index("car_03")].clone())
    assert torch.equal(*pictures)


def test_crops_are_windows_of_the_stored_pictures(store: Store) -> None:
    cut = build_augmentation("none", crop=(8, 12), planes=1)
    for batch in loader(store, range(8), None, masks=True, batch_size=3, seed=1, augment=cut):
        assert batch.targets is not None
        assert batch.images.shape == (len(batch), 3, 8, 12)
        assert batch.targets.shape == (len(batch), 1, 8, 12)
        assert batch.targets.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        for row_id, image, target in zip(batch.ids, batch.images, batch.targets, strict=True):
            number = int(row_id[-2:])
            whole = np.concatenate([picture(number), label(number)[..., None]], axis=2)
            part = np.concatenate(
                [image.permute(1, 2, 0).numpy(), target.permute(1, 2, 0).numpy()], 2
            )
            assert _is_window(part, whole), row_id


def sampled(store: Store, workers: int = 0) -> Loader:
    """Return a loader that repeats rows, asks for foreground, and pastes."""
    groups = np.repeat([0, 1], [7, 1])
    return loader(
        store,
        range(8),
        None,
        masks=True,
        batch_size=3,
        seed=1,
        augment=build_augmentation("elastic", crop=(9, 12), planes=1, erase=0.3),
        workers=workers,
        sampling=class_balanced(groups),
        paste=CopyPaste(0.5, rows=(0, 4), classes=1, epochs=9),
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_sampling_and_pasting_do_not_depend_on_the_workers(store: Store) -> None:
    """Nor on where an epoch is begun."""
    alone, pair = sampled(store), sampled(store, 2)
    for epoch in range(2):
        alone.start(epoch)
        pair.start(epoch)
        assert digest(alone) == digest(pair)
    alone.start(1)
    rest = list(alone)[1:]
    alone.start(1, 1)
    for one, other in zip(rest, alone, strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.images, other.images)
    pair.close()


def test_a_repeated_row_is_augmented_anew(store: Store) -> None:
    pictures = []
    for batch in sampled(store):
        pictures += [
            image.clone()
            for name, image in zip(batch.ids, batch.images, strict=True)
            if name == "car_07"
        ]
    assert len(pictures) == 4  # half of 8
    assert len({each.numpy().tobytes() for each in pictures}) == 4


def test_objects_of_another_row_are_pasted(store: Store) -> None:
    plain = build_augmentation("none", planes=1)
    batches = loader(
        store,
        [1],
        None,
        masks=True,
        batch_size=1,
        seed=1,
        augment=plain,
        paste=CopyPaste(1.0, rows=(4,), classes=1, epochs=1),
    )
    (batch,) = batches
    assert batch.targets is not None
    image, mask = batch.images[0].permute(1, 2, 0).numpy(), batch.targets[0, 0].numpy()
    pasted = (image != picture(1)).any(axis=2)
    assert pasted.any()
    assert np.array_equal(image[pasted], picture(4)[pasted])
    assert label(4)[pasted].all()
    assert mask[pasted].all()
    assert np.array_equal(mask[~pasted], label(1)[~pasted])
    assert np.array_equal(store.image(1), picture(1)), "what is stored stays"
    batches.start(1)
    (later,) = batches
    assert np.array_equal(later.images[0].permute(1, 2, 0).numpy(), picture(1))


def _is_window(part: np.ndarray, whole: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(whole, part.shape)
    return bool((windows == part).all(axis=(-1, -2, -3)).any())


@pytest.mark.slow
def test_workers_change_no_batch(store: Store) -> None:
    changes = build_augmentation("light", crop=(8, 12), planes=1)
    options: dict[str, Any] = {"batch_size": 3, "seed": 5, "augment": changes}
    alone = loader(store, range(8), None, masks=True, **options)
    helped = loader(store, range(8), None, masks=True, workers=2, **options)
    for epoch in (0, 1):
        alone.start(epoch)
        helped.start(epoch)
        assert digest(helped) == digest(alone)


@pytest.mark.slow
def test_a_workers_error_arrives_as_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "jpeg", (3,)) / "train-00000.arrow"
    jpeg = rows("jpeg", 1, 1)[0].image
    path.write_bytes(path.read_bytes().replace(jpeg[-60:], b"\xff\xd9" + bytes(58)))
    for workers in (0, 1):
        damaged = loader(
            Store(tmp_path, "train"),
            range(3),
            None,
            masks=True,
            batch_size=3,
            seed=None,
            workers=workers,
        )
        with pytest.raises(ArtifactError) as fault:
            list(damaged)
        assert "(train, id car_01): a stored JPEG is damaged" in str(fault.value)
        assert "Traceback" not in str(fault.value)


@pytest.mark.slow
def test_workers_are_no_part_of_the_group_that_a_signal_goes_to(store: Store) -> None:
    others = multiprocessing.active_children()
    helped = loader(store, range(8), None, masks=True, batch_size=1, seed=None, workers=1)
    read = iter(helped)
    ids = next(read).ids
    (worker,) = set(multiprocessing.active_children()) - set(others)
    assert worker.pid is not None
    for batch in read:
        ids += batch.ids
    assert ids == [f"car_{row:02d}" for row in range(8)]
    assert os.getpgid(worker.pid) == worker.pid != os.getpgrp()
    helped.close()
    assert worker not in multiprocessing.active_children()
    assert len(list(helped)) == 8, "with new workers"
    helped.close()


@pytest.mark.parametrize("image", ["raw", "jpeg"])
def test_batches_read_ahead_are_the_same(tmp_path: Path, image: Literal["raw", "jpeg"]) -> None:
    store = Store(write(tmp_path, image), "train")
    batches = loader(store, [4, 0, 7, 1, 2], None, masks=False, batch_size=2, seed=None)
    pairs = list(zip(batches.read_ahead(), batches, strict=True))
    assert [ahead.ids for ahead, _ in pairs] == [plain.ids for _, plain in pairs]
    assert len(pairs) == 3
    assert all(torch.equal(ahead.images, plain.images) for ahead, plain in pairs)


def test_batches_kept_by_their_reader_stay_as_they_are(store: Store) -> None:
    images = [
        batch.images for batch in loader(store, range(8), None, masks=True, batch_size=1, seed=None)
    ]
    for number, tensor in enumerate(images):
        assert np.array_equal(tensor[0].permute(1, 2, 0).numpy(), picture(number))


def test_reading_leaves_the_global_random_state_alone(store: Store) -> None:
    before = torch.get_rng_state()
    list(loader(store, range(8), None, masks=True, batch_size=2, seed=3, augment=light()))
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_needs_a_seed(store: Store) -> None:
    with pytest.raises(ValueError, match="augmentation needs a seed"):
        loader(store, [0], None, masks=True, batch_size=1, seed=None, augment=light())


def test_targets_must_fit_the_store(store: Store) -> None:
    with pytest.raises(ValueError, match="2 targets for a store of 8 rows"):
        loader(store, [0, 1], np.zeros(2, np.int64), masks=False, batch_size=1, seed=None)


def test_item_seeds_are_pinned() -> None:
    assert item_seed(7, 0, "car_00") == PINNED
    assert len({item_seed(s, e, i) for s in (1, 2) for e in (1, 2) for i in ("1", "2")}) == 8


PINNED = 15646070325214286317


def test_a_batch_goes_to_a_device(store: Store) -> None:
    batch = next(iter(loader(store, [0], None, masks=True, batch_size=1, seed=None)))
    moved = batch.to("meta", non_blocking=True)
    assert moved.targets is not None
    assert moved.images.device.type == moved.targets.device.type == "meta"
    assert moved.originals.device.type == "cpu"


def light() -> Augmentation:
    return build_augmentation("light", planes=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch notices, a little later")
def test_workers_end_with_a_reader_that_is_killed(tmp_path: Path) -> None:
    write(tmp_path, "raw")
    script = """if __name__ == "__main__":
        import multiprocessing, os, signal, sys
        from pathlib import Path
        from torch.utils.data import DataLoader
        from darkroom.store.loader import loader
        from darkroom.store.store import Store
        store = Store(Path(sys.argv[1]), "train")
        read = loader(store, range(4), None, masks=False, batch_size=1, seed=None, workers=1)
        batches = DataLoader.__iter__(read)
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)  # while the worker is starting
    """
    (tmp_path / "reader.py").write_text(textwrap.dedent(script))
    # Whoever holds the pipe open is alive: reading to its end waits for the worker too.
    reader = [sys.executable, str(tmp_path / "reader.py"), str(tmp_path)]
    ended = subprocess.run(reader, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(ended.stdout.split()) == 1, "a worker had been started"


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_a_buffer_is_reused_once_nothing_refers_to_it() -> None:
    buffers = Buffers()
    block = buffers.take((4, 5))
    first = address(block)
    del block
    assert address(buffers.take((5, 4))) == first


def test_a_buffer_in_use_is_not_reused() -> None:
    buffers = Buffers()
    block = buffers.take((4, 4))
    tensor = torch.from_numpy(block).permute(1, 0)[:2]
    back = tensor.numpy()
    del block, tensor  # a view of a view of it is left
    back[:] = 7
    buffers.take((4, 4))[:] = 1
    assert (back == 7).all()


def test_another_size_gets_another_buffer() -> None:
    buffers = Buffers()
    buffers.take((10,))
    assert buffers.take((3, 3)).shape == (3, 3)


def test_the_pool_keeps_few_free_buffers() -> None:
    buffers = Buffers()
    held = [buffers.take((8,)) for _ in range(50)]
    held.clear()
    assert len(buffers._free) + len(buffers._returned) == 8


def test_a_block_may_die_while_another_is_taken() -> None:
    buffers = Buffers()
    held = buffers.take((8,))
    with buffers._lock:  # the garbage collector runs within it, too
        del held
    assert buffers.take((8,)).shape == (8,)


def test_buffers_do_not_travel_to_other_processes() -> None:
    buffers = Buffers()
    buffers.take((1000,))
    assert pickle.loads(pickle.dumps(buffers))._free == []


def test_too_little_shared_memory_is_told_with_its_size_and_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (batch,) = loader(store, range(4), None, masks=True, batch_size=4, seed=None)
    words = "unable to allocate shared memory(shm) for file </torch_1_0>: No space left on device"

    def refuse(_: torch.Tensor) -> None:
        raise RuntimeError(words)

    usage = SimpleNamespace(total=64 * 2**20, used=63 * 2**20, free=2**20)
    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match="shared memory is too small") as caught:
        batch.shared()
    for expected in (words, "found: 64.0 MiB, of which 1.0 are free", "--shm-size", "workers: 0"):
        assert expected in str(caught.value)
    killed = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that"
    for error in (RuntimeError(killed), OSError(errno.ENOSPC, "No space left on device")):
        with (
            pytest.raises(ResourceError, match="shared memory is too small"),
            lost_workers_reported(has_workers=True),
        ):
            raise error
    of_a_disk = OSError(errno.ENOSPC, "No space left on device", "a.ckpt")
    with pytest.raises(OSError, match=r"a\.ckpt"), lost_workers_reported(has_workers=True):
        raise of_a_disk


@pytest.mark.slow
def test_a_worker_without_shared_memory_ends_and_nobody_waits(store: Store) -> None:
    """The queue's thread printed a traceback, and the main process waited for ever."""
    unshare = ["unshare", "-m", "bash", "-c"]
    mount = "mount -t tmpfs -o size=52k tmpfs /dev/shm"  # its semaphores take 44k
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], check=False).returncode:
        pytest.skip("needs the right to mount")
    script = f"""
    from pathlib import Path
    from darkroom.errors import ResourceError
    from darkroom.store.loader import loader, lost_workers_reported
    from darkroom.store.store import Store

    if __name__ == "__main__":
        store = Store(Path({str(store.folder)!r}), "train")
        batches = loader(store, range(8), None, masks=True, batch_size=8, seed=None, workers=1)
        try:
            with lost_workers_reported(has_workers=True):
                list(batches)
        except ResourceError as error:
            print(error)
    """
    file = store.folder / "script.py"
    file.write_text(textwrap.dedent(script))
    command = [*unshare, f"{mount} && {sys.executable} {file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "shared memory is too small" in done.stdout
    assert "Traceback" not in done.stderr

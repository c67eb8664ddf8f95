import socket
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import default_collate

from benchmarks import loader, peers
from benchmarks.harness import Rate
from darkroom.images import codec
from darkroom.store.loader import loader as read_ahead


@pytest.mark.slow
def test_it_runs_on_drawn_pictures_and_prints_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader.main(["--quick", "--data", str(tmp_path), "--faces", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "4 pictures (drawn: no train.zip in" in printed
    for title in ("959x640", "959x640 raw", "faces"):
        assert f"{title}, 0 workers:" in printed
        assert f"{title}, 2 workers:" in printed
    for name in ("usual data set", "Darkroom, JPEG", "bare JPEG decode", "Darkroom, raw"):
        assert f"| {name} | " in printed


def test_ratios_are_of_cpu_seconds_to_the_baseline_and_the_limit() -> None:
    rates = {
        "usual data set": Rate(9.0, 20.0),
        "Darkroom, JPEG": Rate(9.0, 500.0),
        "litdata": Rate(9.0, 250.0),
        "bare JPEG decode": Rate(9.0, 625.0),
    }
    rows = {row[0]: row[2:] for row in loader.tabulate("", rates).rows}
    assert rows["Darkroom, JPEG"] == [500.0, 25.0, 1.25]
    assert rows["litdata"] == [250.0, 12.5, 2.5]
    goals = [(goal.measured, goal.bound, goal.is_met) for goal in loader.goals_of("", rates)]
    assert goals == [(25.0, 25, True), (2.0, 1.0, True), (1.25, 1.1, False)]


@pytest.mark.parametrize(
    ("order", "change", "words"),
    [([1, 0], 0, None), ([1, 0], 1, "other pixels"), ([0, 1], 0, "does not shuffle")],
)
def test_peers_must_read_the_same_pixels_in_another_order(
    order: list[int], change: int, words: str | None, tmp_path: Path
) -> None:
    store = loader.shard(loader.drawn_pictures(2), tmp_path / "jpeg", "jpeg")
    decode = peers.Decoder(store.height, store.width)
    ours = read_ahead(store, [0, 1], None, masks=True, batch_size=2, seed=0)
    samples = [loader.samples_of(store)[row] for row in order]
    items = [decode(*sample) for sample in samples]
    items[0]["image"][5, 5, 0] ^= change
    batch = default_collate(items)
    with pytest.raises(SystemExit, match=words) if words else nullcontext():
        loader.require_same_pixels("peer", [batch], ours)


@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.filterwarnings("ignore")
def test_a_peer_that_is_installed_reads_all_samples(name: str, tmp_path: Path) -> None:
    if name not in peers.installed():
        pytest.skip(f"{name} is not installed")
    pixels = np.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    samples = [peers.Sample(f"{n:02}", codec.encode_jpeg(pixels, 90), b"") for n in range(16)]
    decode = peers.Decoder(16, 24)
    with peers.offline():
        batches = peers.PEERS[name](samples, tmp_path / "peer", decode, peers.Choices(4, 0))
        order, _ = peers.digest_by_id(batches)
    assert sorted(order) == [sample.id for sample in samples]


def test_no_other_machine_is_reached() -> None:
    with peers.offline(), socket.socket() as line, pytest.raises(ConnectionRefusedError):
        line.connect(("192.0.2.1", 80))


def test_the_usual_data_set_gives_what_training_wants(tmp_path: Path) -> None:
    pictures = loader.drawn_pictures(1)
    image, mask = loader.UsualDataset(loader.unpack(pictures, tmp_path))[0]
    assert image.shape == (3, 640, 959)
    assert 0 <= float(image.min()) < float(image.max()) <= 1
    assert set(mask.flatten().tolist()) == {0, 1}
    drawn, _ = codec.decode_mask(pictures[0].mask)
    assert abs(float(mask.float().mean()) - float(np.mean(drawn))) < 1e-3

"""What a browser gets: TensorBoard is started, and asked for all that a training wrote."""

import json
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from darkroom.images.codec import decode_image
from darkroom.training.fit import FitResult
from tests.training.tensorboard.runs import (
    BATCHES,
    EPOCHS,
    HYPERPARAMETERS,
    IMAGES,
    LEARNT,
    NAMES,
    train,
)

pytestmark = pytest.mark.slow

ENDS = [BATCHES * epoch for epoch in range(1, EPOCHS + 1)]
METRIC = {"segmentation": "dice", "multiclass": "accuracy", "multilabel": "accuracy"}
VALIDATED = IMAGES - LEARNT
PATIENCE_S = 60


class Served:
    """A TensorBoard, and the trainings that it shows."""

    def __init__(self, address: str, results: dict[str, FitResult]) -> None:
        self.address, self.results = address, results

    def raw(self, path: str, body: dict[str, Any] | None = None, **query: str) -> bytes:
        url = f"{self.address}data/{path}?{urllib.parse.urlencode(query)}"
        headers = {"content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return bytes(answer.read())

    def get(self, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        return json.loads(self.raw(path, body, **query))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    results = {task: train(folder, task) for task in NAMES}
    # The loader in Python: it has read everything when the server begins to answer.
    command = ["-m", "tensorboard.main", "--logdir", str(folder / "runs"), "--port", "0"]
    command += ["--host", "127.0.0.1", "--load_fast=false", "--samples_per_plugin", "images=1000"]
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        lines: Queue[str] = Queue()
        assert server.stderr is not None
        reader = threading.Thread(target=lambda: [*map(lines.put, server.stderr or ())])
        reader.start()
        try:
            yield Served(_address(lines), results)
        finally:
            server.terminate()
            reader.join()  # before the pipe is closed under it


def _address(lines: "Queue[str]") -> str:
    while True:
        if found := re.search(r"http://127\.0\.0\.1:\d+/", lines.get(timeout=PATIENCE_S)):
            return found[0]


def test_every_training_is_a_run(served: Served) -> None:
    assert sorted(served.get("runs")) == sorted(NAMES)


@pytest.mark.parametrize("task", NAMES)
def test_scalars(served: Served, task: str) -> None:
    history = served.results[task].history
    names = [f"{name}/{part}" for name in ("loss", METRIC[task]) for part in ("train", "val")]
    best = {f"Best epoch/{name}" for name in ("loss", METRIC[task], "epoch")}
    steps = {"loss/step", "steps/gradient norm", "steps/learning rate/all"}
    clocked = {"speed/images per second", "speed/share of time waiting for data"}
    tags = served.get("plugin/scalars/tags")[task]
    assert set(tags) == {*names, *best, *steps, *clocked}

    points = {tag: served.get("plugin/scalars/scalars", run=task, tag=tag) for tag in tags}
    for name in names:
        assert [(step, value) for _, step, value in points[name]] == [
            (step, pytest.approx(row[name], rel=1e-5))
            for step, row in zip(ENDS, history, strict=True)
        ]
    for name in ("loss", METRIC[task]):
        ((_, _, value),) = points[f"Best epoch/{name}"]
        assert value == pytest.approx(served.results[task].selected[f"{name}/val"], rel=1e-5)
    for tag in steps:
        assert [step for _, step, _ in points[tag]] == list(range(1, EPOCHS * BATCHES + 1))
        assert all(value > 0 for _, _, value in points[tag])
    rates = [value for *_, value in points["steps/learning rate/all"]]
    assert max(rates) == pytest.approx(0.01, rel=0.1)
    assert rates[-1] < rates[0] < max(rates), "one cycle"
    for tag in clocked:
        assert [step for _, step, _ in points[tag]] == ENDS
    assert all(value > 0 for *_, value in points["speed/images per second"])
    assert all(0 <= value <= 1 for *_, value in points["speed/share of time waiting for data"])


@pytest.mark.parametrize("task", NAMES)
def test_training_and_validation_in_one_chart(served: Served, task: str) -> None:
    layout = served.get("plugin/custom_scalars/layout")
    charts = {
        chart["title"]: chart["multiline"]["tag"]
        for category in layout["category"]
        for chart in category["chart"]
    }
    for title in ("loss", METRIC[task]):
        (tags,) = charts[title]
        found = served.get("plugin/custom_scalars/scalars", run=task, tag=tags)
        assert set(found["tag_to_events"]) == {f"{title}/train", f"{title}/val"}
        assert all(len(events) == EPOCHS for events in found["tag_to_events"].values())


@pytest.mark.parametrize("task", NAMES)
@pytest.mark.parametrize("tag", ["predictions", "worst", "confusion"])
def test_images(served: Served, task: str, tag: str) -> None:
    tags = served.get("plugin/images/tags")[task]
    assert set(tags) == {"predictions", "worst", "confusion"}
    events = served.get("plugin/images/images", run=task, tag=tag, sample="0")
    assert [picture["step"] for picture in events] == ENDS
    rows = 4 if task == "segmentation" else 2  # of four pictures each
    for picture in events:
        query = dict(urllib.parse.parse_qsl(picture["query"]))
        drawn = decode_image(served.raw("plugin/images/individualImage", **query))
        assert drawn.std() > 5, "not a blank page"
        assert drawn.shape[0] > (100 if tag == "confusion" else 200 * rows)


@pytest.mark.parametrize("task", NAMES)
def test_curves(served: Served, task: str) -> None:
    names = NAMES[task] or ("pixels",)
    tags = [f"precision and recall/{name}" for name in names]
    assert set(served.get("plugin/pr_curves/tags")[task]) == set(tags)
    for tag in tags:
        events = served.get("plugin/pr_curves/pr_curves", run=task, tag=tag)[task]
        assert [curve["step"] for curve in events] == ENDS
        for curve in events:
            lengths = {len(curve[key]) for key in ("precision", "recall", "thresholds")}
            assert len(lengths) == 1
            assert lengths.pop() <= (257 if task == "segmentation" else 65)
            assert curve["recall"][0] == 1
            assert curve["recall"] == sorted(curve["recall"], reverse=True)
            counts = ("true_positives", "false_positives", "true_negatives", "false_negatives")
            pixels = 32 * 32 if task == "segmentation" else 1
            assert sum(curve[key][0] for key in counts) == VALIDATED * pixels


@pytest.mark.parametrize("task", NAMES)
def test_graph(served: Served, task: str) -> None:
    assert served.get("plugin/graphs/info")[task]["run_graph"] is True
    events = served.raw("plugin/graphs/graph", run=task).decode()
    nodes = re.findall(r'node \{\s+name: "([^"]+)"\s+op: "([^"]+)"', events)
    assert ("input", "Input") in nodes
    assert ("output", "Output") in nodes
    assert sum(kind == "Conv2d" for _, kind in nodes) >= 2
    assert not served.get("plugin/text/tags").get(task), "there is no word of a failure"


def test_table_of_runs(served: Served) -> None:
    about = served.get("plugin/hparams/experiment", {"experimentName": ""})
    assert {info["name"] for info in about["hparamInfos"]} == set(HYPERPARAMETERS)
    metrics = [info["name"]["tag"] for info in about["metricInfos"]]
    assert metrics[0].startswith("Best epoch/"), "the others are folded away"
    chosen = [{"metric": info["name"]} for info in about["metricInfos"]]
    query = {
        "experimentName": "",
        "startIndex": 0,
        "sliceSize": 9,
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": chosen,
    }
    groups = served.get("plugin/hparams/session_groups", query)["sessionGroups"]
    assert sorted(group["sessions"][0]["name"] for group in groups) == sorted(NAMES)
    for group in groups:
        task = group["sessions"][0]["name"]
        assert group["hparams"] == {"lr": 0.01, "model.name": "tiny", "ema": "none"}
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        best = served.results[task].selected
        value = values[f"Best epoch/{METRIC[task]}"]
        assert value == pytest.approx(best[f"{METRIC[task]}/val"], rel=1e-5)
        assert values["Best epoch/epoch"] == best["epoch"]

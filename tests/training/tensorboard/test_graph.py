"""The graph of a network: what joins what, by hand; and that nothing is moved by drawing it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef
from torch import Tensor, nn

from darkroom.models.build import build_network
from darkroom.training.tensorboard.graph import Graph, trace
from tests.training.tensorboard.rig import loop, read, writer


class Block(nn.Module):
    """Adds what its layers make to what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, values: Tensor) -> Tensor:
        made: Tensor = self.act(self.act(self.conv(values)))
        return values + made


class Stubborn(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if float(images.sum()) > 0 else -images


def edges(graph: GraphDef) -> dict[str, tuple[str, list[str]]]:
    return {node.name: (node.op, list(node.input)) for node in graph.node}


def test_a_residual_block_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), Block())
    assert edges(trace(net, (2, 3, 8, 8))) == {
        "input": ("Input", []),
        "0": ("Conv2d", ["input"]),
        "1/conv": ("Conv2d", ["0"]),
        "1/act": ("ReLU", ["1/conv"]),
        "1/act_2": ("ReLU", ["1/act"]),
        "1/add": ("add", ["0", "1/act_2"]),
        "output": ("Output", ["1/add"]),
    }


def test_a_node_tells_shapes() -> None:
    node = trace(nn.Conv2d(3, 4, 3), (2, 3, 8, 8)).node[1]
    assert node.op == "Conv2d"
    (shape,) = node.attr["_output_shapes"].list.shape
    assert [dim.size for dim in shape.dim] == [2, 4, 6, 6]
    assert node.attr["weight"].s.decode() == "4 × 3 × 3 × 3"
    assert node.attr["layer"].s.decode().startswith("3, 4, kernel_size=(3, 3)")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("unet", {"width": 4, "depth": 2}),
        ("segformer", {"encoder": "resnet18"}),
        ("small_cnn", {"width": 4, "depth": 2, "dropout": 0.5}),
        ("resnet18", {}),
        ("convnext_tiny", {}),
    ],
)
@pytest.mark.slow
def test_every_node_leads_from_the_images_to_the_answer(
    name: str, arguments: dict[str, Any]
) -> None:
    net = build_network(name, outputs=2, seed=1, **arguments)
    nodes = edges(trace(net, (2, 3, 64, 64)))
    sources = {source.split(":")[0] for _, inputs in nodes.values() for source in inputs}
    assert sources == nodes.keys() - {"output"}
    assert [node for node, (_, inputs) in nodes.items() if not inputs] == ["input"]
    layers = {path.replace(".", "/") for path, m in net.named_modules() if not [*m.children()]}
    assert layers <= nodes.keys()


def test_nothing_of_the_network_or_of_chance_is_moved() -> None:
    net = build_network("small_cnn", outputs=2, seed=1, width=4, depth=2, dropout=0.5)
    net = net.to(memory_format=torch.channels_last).train()
    net.get_submodule("features").eval()
    before = {name: (t.clone(), t.stride()) for name, t in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    hooks = [[*m._forward_pre_hooks, *m._forward_hooks] for m in net.modules()]
    chance = torch.get_rng_state()
    trace(net, (2, 3, 64, 64))
    assert torch.equal(chance, torch.get_rng_state())
    assert modes == [module.training for module in net.modules()]
    assert hooks == [[*m._forward_pre_hooks, *m._forward_hooks] for m in net.modules()]
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name][0])
        assert tensor.stride() == before[name][1]


def test_a_network_that_cannot_be_drawn_gives_a_text(tmp_path: Path) -> None:
    log = writer(tmp_path)
    Graph(log, (2, 3, 8, 8)).on_train_start(loop(seen=0, net=Stubborn()))
    events = read(log)
    assert not events.Tags()["graph"]
    words = events.Tensors("graph/text_summary")[0].tensor_proto.string_val[0].decode()
    assert words.startswith("This network can't be drawn: RuntimeError: ")


@pytest.mark.parametrize("seen", [0, 5])
def test_only_the_start_of_a_training_is_drawn(tmp_path: Path, seen: int) -> None:
    log = writer(tmp_path)
    Graph(log, (2, 3, 8, 8)).on_train_start(loop(seen=seen))
    assert read(log).Tags()["graph"] is (seen == 0)

"""torch.onnx.export: the graph that it writes, and what it refuses."""

import io

import pytest

import flambeau as torch
from flambeau import nn


def test_export():
    onnx = pytest.importorskip("onnx")
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 2), nn.Softmax(-1),
    )  # fmt: skip
    file = io.BytesIO()
    torch.onnx.export(
        net, torch.rand(1, 3, 8, 8), file, input_names=["image"], output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": [0]},
    )  # fmt: skip
    made = onnx.load_from_string(file.getvalue())
    kinds = [node.op_type for node in made.graph.node]
    assert kinds[:4] == ["Conv", "BatchNormalization", "Relu", "MaxPool"]
    assert made.graph.input[0].name == "image" and made.graph.output[0].name == "scores"
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in made.graph.initializer}
    assert (weights["0.weight"] == net[0].weight.detach().numpy()).all()
    assert net.training


def test_what_has_no_rule_says_so():
    pytest.importorskip("onnx")
    with pytest.raises(RuntimeError, match="no rule for aten::selu"):
        torch.onnx.export(nn.SELU(), torch.rand(2))
    with pytest.raises(ValueError, match="opset_version"):
        torch.onnx.export(nn.ReLU(), torch.rand(2), opset_version=11)

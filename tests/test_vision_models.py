"""Networks: names of their states, initial weights, outputs, and how they are found."""

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.vision import models, ops

# Parameters as published for each architecture, and entries of the state.
SIZES = {
    "squeezenet1_1": (1_235_496, 52),
    "resnet18": (11_689_512, 122),
    "mobilenet_v3_small": (2_542_856, 244),
    "shufflenet_v2_x0_5": (1_366_792, 338),
    "mnasnet0_5": (2_218_512, 314),
    "regnet_x_400mf": (5_495_976, 428),
    "efficientnet_b0": (5_288_548, 360),
    "raft_small": (990_162, 106),
    "lraspp_mobilenet_v3_large": (3_221_538, 319),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    options = {"weights_backbone": None} if name.startswith("lraspp") else {}
    net = models.get_model(name, weights=None, **options)
    assert (sum(p.numel() for p in net.parameters()), len(net.state_dict())) == SIZES[name]


def test_every_weight_has_facts():
    assert len(models.list_models()) == 121
    for name in models.list_models():
        for weights in models.get_model_weights(name):
            assert weights.url.startswith("https://")
            assert weights.meta["num_params"] > 0
    best = models.ResNet50_Weights.DEFAULT
    assert best is models.get_weight("ResNet50_Weights.IMAGENET1K_V2")
    assert best.meta["categories"][0] == "tench"
    assert best.transforms()(torch.zeros(3, 300, 400, dtype=torch.uint8)).shape == (3, 224, 224)


def test_names_and_errors():
    assert models.list_models(module=models.segmentation, include="fcn*") == [
        "fcn_resnet101",
        "fcn_resnet50",
    ]
    with pytest.raises(ValueError, match="Unknown model"):
        models.get_model("resnet17")
    with pytest.raises(TypeError, match="Invalid Weight class"):
        models.resnet18(weights=models.ResNet50_Weights.DEFAULT)


def test_resnet_trains():
    torch.manual_seed(0)
    net = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)
    loss = net(torch.randn(2, 3, 32, 32)).sum()
    loss.backward()
    assert net.conv1.weight.grad.abs().sum() > 0


def test_small_transformers():
    vit = models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=5).eval()
    assert vit(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    swin = models.SwinTransformer([4, 4], 12, [2, 2], [2, 3], [4, 4], num_classes=5).eval()
    assert swin(torch.zeros(1, 3, 40, 36)).shape == (1, 5)


def detector():
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 16, 1), torch.nn.ReLU())
    body.out_channels = 8
    anchors = models.detection.anchor_utils.AnchorGenerator(((16, 32),), ((1.0,),))
    pool = ops.MultiScaleRoIAlign(["0"], 3, 2)
    return models.detection.FasterRCNN(
        body,
        num_classes=3,
        min_size=64,
        max_size=96,
        rpn_anchor_generator=anchors,
        box_roi_pool=pool,
    )


def test_detector():
    torch.manual_seed(0)
    net = detector()
    images = [torch.rand(3, 50, 60), torch.rand(3, 60, 40)]
    targets = [
        {"boxes": torch.tensor([[5.0, 5, 30, 30]]), "labels": torch.tensor([1])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = net(images, targets)
    assert set(losses) == {
        "loss_classifier",
        "loss_box_reg",
        "loss_objectness",
        "loss_rpn_box_reg",
    }
    sum(losses.values()).backward()
    assert net.backbone[0].weight.grad is not None
    found = net.eval()(images)
    assert [set(f) for f in found] == [{"boxes", "labels", "scores"}] * 2
    with pytest.raises(AssertionError, match="positive height and width"):
        net.train()(images[:1], [{"boxes": torch.tensor([[5.0, 5, 5, 9]]), "labels": [1]}])


def test_looked_into():
    from flambeau.vision.models.feature_extraction import (
        create_feature_extractor,
        get_graph_node_names,
    )

    net = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]).eval()
    assert get_graph_node_names(net)[1][5:10] == [
        "layer1.0.conv1",
        "layer1.0.bn1",
        "layer1.0.relu",
        "layer1.0.conv2",
        "layer1.0.bn2",
    ]
    cut = create_feature_extractor(net, {"layer1": "low", "layer2.0.add": "sum"})
    x = torch.randn(1, 3, 32, 32)
    found = cut(x)
    assert found["low"].equal(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x))))))
    assert found["sum"].shape == (1, 128, 4, 4) and not hasattr(cut, "layer3")
    with pytest.raises(ValueError, match="not present"):
        create_feature_extractor(net, ["layer9"])


def test_transformers_looked_into():
    from flambeau.vision.models.feature_extraction import create_feature_extractor
    from flambeau.vision.models.swin_transformer import SwinTransformer
    from flambeau.vision.models.video.mvit import MSBlockConfig, MViT

    swin = SwinTransformer([4, 4], 8, [2], [2], [4, 4], num_classes=3).eval()
    block = MSBlockConfig(2, 8, 8, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 2, 2])
    mvit = MViT((16, 16), 4, [block], True, True, True, True, num_classes=3).eval()
    for net, x, name in (
        (swin, torch.randn(1, 3, 32, 32), "features.1.1.attn"),
        (mvit, torch.randn(1, 3, 4, 16, 16), "blocks.0"),
    ):
        found = create_feature_extractor(net, {name: "inner", "head": "result"})(x)
        assert found["result"].equal(net(x)) and found["inner"] is not None


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5"])
def test_networks_of_integers(name):
    torch.manual_seed(0)
    build = getattr(models.quantization, name)
    net = build(weights=None).eval()
    plain = models.get_model(name).eval()
    plain.load_state_dict(net.state_dict())
    assert models.get_model_builder(f"quantized_{name}") is build
    for module in plain.modules():
        for key, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, key, nn.ReLU())
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(x), plain(x), rtol=1e-4, atol=1e-5)
        made = build(weights=None, quantize=True)
    assert made.state_dict()["quant.scale"].numel() == 1
    assert made(x).shape == (2, 1000)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in made.modules())


def test_fused_networks_compute_the_same():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 96, 96)
    for name in ("googlenet", "mobilenet_v3_large", "resnet50"):
        options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
        net = getattr(models.quantization, name)(**options).eval()
        with torch.no_grad():
            before = net(x)
            net.fuse_model()
            torch.testing.assert_close(net(x), before, rtol=1e-3, atol=1e-4)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


def test_weights_of_networks_of_integers():
    enum = models.quantization.ResNet50_QuantizedWeights
    assert enum.DEFAULT.meta["unquantized"] is models.ResNet50_Weights.IMAGENET1K_V2
    assert models.get_weight("MobileNet_V2_QuantizedWeights.DEFAULT").meta["backend"] == "qnnpack"
    with pytest.raises(TypeError, match="Invalid Weight class"):
        models.quantization.resnet50(weights=enum.DEFAULT)  # quantize=False: those of numbers
    with pytest.raises(ValueError, match="backend"):
        models.quantization.resnet50(weights=enum.DEFAULT, quantize=True, backend="qnnpack")

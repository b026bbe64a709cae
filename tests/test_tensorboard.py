"""Event files, read back by TensorBoard's own loader."""

import pytest

import flambeau as torch
from flambeau import nn

pytest.importorskip("tensorboard")


@pytest.fixture
def read(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def reload(folder=None):
        events = EventAccumulator(str(folder or tmp_path), size_guidance={"tensors": 0})
        events.Reload()
        return events

    return reload


def test_values_come_back(tmp_path, read):
    from flambeau.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", torch.tensor(1.0 / (step + 1)), step, walltime=10.0 + step)
        writer.add_scalar("new", 2.5, 1, new_style=True, double_precision=True)
        writer.add_histogram("weights", torch.arange(100.0), 1)
        writer.add_histogram("few", torch.randn(50), 1, bins="auto", max_bins=4)
        writer.add_image("image", torch.rand(3, 4, 6), 1)
        writer.add_images("images", torch.rand(5, 1, 4, 6), 1)
        boxes = torch.tensor([[1.0, 1.0, 9.0, 9.0]])
        writer.add_image_with_boxes("boxes", torch.rand(3, 16, 16), boxes, 1, labels=["one"])
        writer.add_text("note", "**bold**", 1)
        writer.add_video("video", torch.rand(1, 2, 3, 4, 4), 1)
        writer.add_audio("sound", torch.rand(1, 100) * 2 - 1, 1, sample_rate=8000)
        writer.add_pr_curve("pr", torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.4, 0.9]), 1)
        writer.add_tensor("tensor", torch.arange(6).view(2, 3), 1)
        writer.add_mesh("mesh", torch.rand(1, 4, 3), colors=torch.zeros(1, 4, 3).int())
        writer.add_custom_scalars_multilinechart(["loss", "new"])
        writer.add_graph(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.ones(1, 2))
    events = read()
    loss = events.Scalars("loss")
    assert [e.step for e in loss] == [0, 1, 2] and loss[1].value == 0.5
    assert loss[2].wall_time == 12.0
    histogram = events.Histograms("weights")[0].histogram_value
    assert histogram.num == 100 and histogram.sum == 4950 and sum(histogram.bucket) == 100
    assert len(events.Histograms("few")[0].histogram_value.bucket) <= 5
    image = events.Images("image")[0]
    assert (image.height, image.width) == (4, 6) and image.encoded_image_string[1:4] == b"PNG"
    assert events.Images("images")[0].width == 30 and events.Images("video")[0].height == 4
    assert events.Audio("sound")[0].sample_rate == 8000
    tags = events.Tags()
    assert {"new", "note/text_summary", "pr", "tensor"} <= set(tags["tensors"]) and tags["graph"]
    from tensorboard.util import tensor_util

    assert tensor_util.make_ndarray(events.Tensors("tensor")[0].tensor_proto).tolist()[1] == [
        3,
        4,
        5,
    ]
    assert tensor_util.make_ndarray(events.Tensors("new")[0].tensor_proto) == 2.5


def test_runs_of_their_own(tmp_path, read):
    from flambeau.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalars("curves", {"train": 1.0, "test": 2.0}, 3)
        writer.add_hparams({"lr": 0.1, "name": "a", "on": True}, {"accuracy": 0.9}, run_name="h")
    assert read(tmp_path / "curves_test").Scalars("curves")[0].value == 2.0
    run = read(tmp_path / "h")
    assert run.Scalars("accuracy")[0].value == pytest.approx(0.9)
    assert set(run.PluginTagToContent("hparams")) >= {"_hparams_/experiment"}


def test_embeddings(tmp_path):
    from flambeau.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        pictures = torch.rand(3, 1, 4, 4)
        writer.add_embedding(torch.rand(3, 2), ["a", "b", "c"], pictures, global_step=1)
        writer.add_embedding(torch.rand(3, 2), [["a", 1]] * 3, tag="t", metadata_header=["n", "k"])
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("tensor_path") == 2 and "00001/default/sprite.png" in config
    assert (tmp_path / "00000/t/metadata.tsv").read_text().splitlines()[0] == "n\tk"


def test_mistakes(tmp_path):
    from flambeau.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        with pytest.raises(AssertionError, match="0D"):
            writer.add_scalar("x", torch.ones(2))
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("x", torch.ones(0))
        with pytest.raises(AssertionError, match="does not name"):
            writer.add_image("x", torch.ones(2, 2))

"""Summaries: what TensorBoard shows for a value, in its own messages."""

import io

import numpy as np
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto


def array(value):
    """A NumPy array of a tensor, number, list or array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (
            value.float() if value.dtype.itemsize == 2 and value.is_floating_point() else value
        ).numpy()
    return np.asarray(value)


def metadata(plugin, content=b"", data_class=None):
    """The message that names the plugin which shows a value."""
    made = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    )
    if data_class is not None:
        made.data_class = data_class
    return made


def scalar(tag, value, new_style=False, double_precision=False):
    """One number."""
    value = array(value).squeeze()
    if value.ndim:
        raise AssertionError(f"scalar should be 0D, got {value.shape}")
    value = float(value)
    if not new_style:
        return Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    kind = {"dtype": "DT_DOUBLE", "double_val": [value]}
    if not double_precision:
        kind = {"dtype": "DT_FLOAT", "float_val": [value]}
    return of_tensor(tag, TensorProto(**kind), metadata("scalars", data_class="DATA_CLASS_SCALAR"))


def of_tensor(tag, proto, meta):
    """A tensor message under a tag."""
    return Summary(value=[Summary.Value(tag=tag, tensor=proto, metadata=meta)])


def shape(*sizes):
    """The message of a shape."""
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def tensor(tag, value):
    """A tensor as it is, in float32 or its own numeric type."""
    value = array(value)
    names = {"f2": "DT_HALF", "f4": "DT_FLOAT", "f8": "DT_DOUBLE", "i1": "DT_INT8"}
    names |= {"u1": "DT_UINT8", "i2": "DT_INT16", "i4": "DT_INT32", "i8": "DT_INT64"}
    names |= {"b1": "DT_BOOL", "c8": "DT_COMPLEX64"}
    kind = names.get(value.dtype.str[1:])
    if kind is None:
        raise ValueError(f"add_tensor(): {value.dtype} is not supported")
    proto = TensorProto(
        dtype=kind, tensor_shape=shape(*value.shape), tensor_content=value.tobytes()
    )
    return of_tensor(tag, proto, metadata("tensor", data_class="DATA_CLASS_TENSOR"))


# The edges of PyTorch's and TensorFlow's default histogram: powers of 1.1 on both sides of 0.
def default_bins():
    """1549 edges, from -1e20 to 1e20."""
    edges, value = [], 1e-12
    while value < 1e20:
        edges.append(value)
        value *= 1.1
    return [-edge for edge in reversed(edges)] + [0.0] + edges


def histogram(tag, values, bins="tensorflow", max_bins=None):
    """The distribution of the values over bins: "tensorflow", NumPy's rules, or edges."""
    values = array(values).reshape(-1)
    if values.size == 0:
        raise ValueError("The input has no element.")
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    counts, edges = np.histogram(
        values, bins=default_bins() if isinstance(bins, str) and bins == "tensorflow" else bins
    )
    step = 1
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        extra = -len(counts) % step
        counts = np.pad(counts, (0, extra)).reshape(-1, step).sum(1)
        edges = np.append(edges[:-1:step], edges[-1])
    full = np.flatnonzero(counts)
    first, last = (max(full[0] - 1, 0), full[-1] + 1) if full.size else (0, 1)
    counts, limits = counts[first:last], edges[first + 1 : last + 1]
    values = values.astype(np.float64)
    return histogram_raw(
        tag,
        values.min(),
        values.max(),
        values.size,
        values.sum(),
        values.dot(values),
        limits,
        counts,
    )


def histogram_raw(tag, low, high, num, total, sum_squares, limits, counts):
    """A distribution that was counted elsewhere."""
    proto = HistogramProto(
        min=low, max=high, num=num, sum=total, sum_squares=sum_squares,
        bucket_limit=list(map(float, limits)), bucket=list(map(float, counts)),
    )  # fmt: skip
    return Summary(value=[Summary.Value(tag=tag, histo=proto)])


# -- pictures --------------------------------------------------------------------------------------
def to_hwc(values, formats):
    """Pictures in any order of dimensions as one HWC array; a batch becomes a grid."""
    values = array(values)
    formats = formats.upper()
    if len(set(formats)) != len(formats) or len(formats) != values.ndim:
        raise AssertionError(f"{formats!r} does not name the dimensions of {values.shape}")
    if "N" in formats:
        values = values.transpose([formats.index(c) for c in "NCHW"])
        n, c, h, w = values.shape
        columns = min(n, 8)
        rows = -(-n // columns)
        grid = np.zeros((c, rows * h, columns * w), values.dtype)
        for i in range(n):
            y, x = divmod(i, columns)
            grid[:, y * h : (y + 1) * h, x * w : (x + 1) * w] = values[i]
        values = grid.transpose(1, 2, 0)
    elif "C" in formats:
        values = values.transpose([formats.index(c) for c in "HWC"])
    else:
        values = values.transpose([formats.index(c) for c in "HW"])[..., None]
    return values.repeat(3, axis=2) if values.shape[2] == 1 else values


def to_bytes(values):
    """uint8: floats from 0 to 1 become 0 to 255."""
    if values.dtype == np.uint8:
        return values
    return (values * 255.0).clip(0, 255).astype(np.uint8)


def image(tag, values, formats="CHW"):
    """A picture, as PNG."""
    return picture(tag, to_bytes(to_hwc(values, formats)))


def picture(tag, pixels, scale=1):
    """A picture of HWC bytes."""
    from PIL import Image

    made = Image.fromarray(pixels)
    height, width, channels = pixels.shape
    if scale != 1:
        height, width = int(height * scale), int(width * scale)
        made = made.resize((width, height), Image.LANCZOS)
    data = io.BytesIO()
    made.save(data, format="PNG")
    proto = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=data.getvalue()
    )
    return Summary(value=[Summary.Value(tag=tag, image=proto)])


def boxed(tag, values, boxes, scale, formats, labels):
    """A picture with rectangles (x1, y1, x2, y2 in pixels)."""
    from PIL import Image, ImageDraw

    drawn = Image.fromarray(to_bytes(to_hwc(values, formats)))
    pen = ImageDraw.Draw(drawn)
    for i, box in enumerate(array(boxes).reshape(-1, 4).tolist()):
        pen.rectangle(box, outline="red", width=2)
        if labels is not None:
            pen.text((box[0] + 3, box[1] + 2), str(labels[i]), fill="red")
    return picture(tag, np.asarray(drawn), scale)


def video(tag, values, fps):
    """(N, T, C, H, W) as one animated GIF, the N side by side."""
    from PIL import Image

    values = to_bytes(array(values))
    if values.ndim != 5:
        raise AssertionError(f"a video is (N, T, C, H, W), not {values.shape}")
    frames = [to_hwc(values[:, t], "NCHW") for t in range(values.shape[1])]
    first, *rest = [Image.fromarray(frame) for frame in frames]
    data = io.BytesIO()
    first.save(data, format="GIF", save_all=True, append_images=rest, duration=1000 / fps, loop=0)
    height, width, channels = frames[0].shape
    proto = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=data.getvalue()
    )
    return Summary(value=[Summary.Value(tag=tag, image=proto)])


def audio(tag, values, rate):
    """Samples from -1 to 1 as a 16-bit WAV file of one channel."""
    import wave

    values = array(values).squeeze()
    if values.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((values.clip(-1, 1) * 32767).astype("<i2").tobytes())
    proto = Summary.Audio(
        sample_rate=rate, num_channels=1, length_frames=len(values),
        encoded_audio_string=data.getvalue(), content_type="audio/wav",
    )  # fmt: skip
    return Summary(value=[Summary.Value(tag=tag, audio=proto)])


# -- plugins ---------------------------------------------------------------------------------------
def text(tag, string):
    """Markdown."""
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

    content = TextPluginData(version=0).SerializeToString()
    proto = TensorProto(dtype="DT_STRING", string_val=[string.encode()], tensor_shape=shape(1))
    return of_tensor(f"{tag}/text_summary", proto, metadata("text", content))


def pr_curve(tag, labels, predictions, thresholds, weights):
    """Precision and recall over thresholds; labels are 0 or 1, predictions probabilities."""
    labels, predictions = array(labels).reshape(-1), array(predictions).reshape(-1)
    weights = 1.0 if weights is None else array(weights).reshape(-1)
    bucket = np.floor(predictions * (thresholds - 1)).astype(np.int64)
    edges = (0, thresholds - 1)
    true, _ = np.histogram(bucket, thresholds, edges, weights=labels * weights)
    false, _ = np.histogram(bucket, thresholds, edges, weights=(1 - labels) * weights)
    true, false = true[::-1].cumsum()[::-1], false[::-1].cumsum()[::-1]
    tiny = 1e-7
    precision = true / np.maximum(tiny, true + false)
    recall = true / np.maximum(tiny, true[0])
    rows = [true, false, false[0] - false, true[0] - true, precision, recall]
    return pr_curve_raw(tag, rows, thresholds)


def pr_curve_raw(tag, rows, thresholds):
    """A curve from rows: true and false positives and negatives, precision, recall."""
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

    data = np.stack([array(row) for row in rows]).astype(np.float32)
    thresholds = min(thresholds, 127)
    content = PrCurvePluginData(version=0, num_thresholds=thresholds).SerializeToString()
    proto = TensorProto(
        dtype="DT_FLOAT", float_val=data.reshape(-1).tolist(), tensor_shape=shape(*data.shape)
    )
    return of_tensor(tag, proto, metadata("pr_curves", content))


def layout(categories):
    """Custom charts: {category: {title: ["Multiline" or "Margin", [tags]]}}."""
    from tensorboard.plugins.custom_scalar import layout_pb2 as pb

    made = []
    for category, charts in categories.items():
        items = []
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError(f"a Margin chart has three tags, not {len(tags)}")
                series = pb.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
                items.append(pb.Chart(title=title, margin=pb.MarginChartContent(series=[series])))
            else:
                content = pb.MultilineChartContent(tag=tags)
                items.append(pb.Chart(title=title, multiline=content))
        made.append(pb.Category(title=category, chart=items))
    message = pb.Layout(category=made).SerializeToString()
    proto = TensorProto(dtype="DT_STRING", string_val=[message], tensor_shape=shape())
    return of_tensor("custom_scalars__config__", proto, metadata("custom_scalars"))


def hparams(values, metrics, discrete):
    """The three messages of the hparams plugin: experiment, start of a session, its end."""
    from google.protobuf import struct_pb2
    from tensorboard.plugins.hparams import api_pb2 as api
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )

    if not isinstance(values, dict) or not isinstance(metrics, dict):
        raise TypeError("hparam_dict and metric_dict should be dictionaries")
    start, infos = SessionStartInfo(), []
    for name, value in values.items():
        if value is None:
            continue
        if hasattr(value, "item") and not isinstance(value, (str, bool)):
            value = array(value).item()
        info = api.HParamInfo(name=name)
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
            info.type = api.DataType.DATA_TYPE_BOOL
        elif isinstance(value, (int, float)):
            start.hparams[name].number_value = value
            info.type = api.DataType.DATA_TYPE_FLOAT64
        elif isinstance(value, str):
            start.hparams[name].string_value = value
            info.type = api.DataType.DATA_TYPE_STRING
        else:
            raise ValueError("value should be one of int, float, str, bool, or a 0-d tensor")
        choices = (discrete or {}).get(name)
        if choices is not None:
            domain = struct_pb2.ListValue()
            domain.extend(list(choices))
            info.domain_discrete.CopyFrom(domain)
        infos.append(info)
    measured = [api.MetricInfo(name=api.MetricName(tag=name)) for name in metrics]
    messages = {
        "_hparams_/experiment": HParamsPluginData(
            experiment=api.Experiment(hparam_infos=infos, metric_infos=measured)
        ),
        "_hparams_/session_start_info": HParamsPluginData(session_start_info=start),
        "_hparams_/session_end_info": HParamsPluginData(
            session_end_info=SessionEndInfo(status=api.Status.STATUS_SUCCESS)
        ),
    }
    return [
        Summary(
            value=[
                Summary.Value(tag=tag, metadata=metadata("hparams", message.SerializeToString()))
            ]
        )
        for tag, message in messages.items()
    ]


def mesh(tag, parts, config):
    """The messages of a 3D mesh: vertices, colors, faces, each (B, N, 3) or None."""
    import json

    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData as Data

    kinds = {"vertices": Data.VERTEX, "faces": Data.FACE, "colors": Data.COLOR}
    present = {name: array(value) for name, value in parts.items() if value is not None}
    components = sum(1 << (kinds[name] - 1) for name in present)
    made = []
    for name, value in present.items():
        content = Data(
            version=0, name=tag, content_type=kinds[name], components=components,
            json_config=json.dumps(config or {}, sort_keys=True), shape=value.shape,
        ).SerializeToString()  # fmt: skip
        integer = value.dtype.kind in "iu"
        numbers = {"dtype": "DT_INT32", "int_val": value.reshape(-1).tolist()}
        if not integer:
            numbers = {"dtype": "DT_FLOAT", "float_val": value.reshape(-1).tolist()}
        proto = TensorProto(tensor_shape=shape(*value.shape), **numbers)
        made += of_tensor(f"{tag}_{name.upper()}", proto, metadata("mesh", content)).value
    return Summary(value=made)


def graph(model, inputs):
    """The module as TensorBoard's GraphDef, as `fx` records it; runs it once if given inputs."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    from flambeau import fx

    traced = fx.symbolic_trace(model)
    names, nodes = {}, []
    for node in traced.graph.nodes:
        stack = list(node.meta.get("nn_module_stack", {}))
        scope = stack[-1].replace(".", "/") if stack else ""
        label = (
            node.target.replace(".", "/") if node.op == "call_module" else f"{scope}/{node.name}"
        )
        label = names[node] = f"{type(model).__name__}/{label.strip('/')}"
        kind = node._pretty_print_target(node.target)
        if node.op == "call_module":
            kind = type(traced.get_submodule(node.target)).__name__
        reads = [names[argument] for argument in node.all_input_nodes]
        nodes.append(NodeDef(name=label, op=kind if node.op[0] == "c" else node.op, input=reads))
    if inputs is not None:
        model(*(inputs if isinstance(inputs, (tuple, list)) else (inputs,)))
    return GraphDef(node=nodes, versions=VersionDef(producer=22))

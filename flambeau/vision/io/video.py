"""Videos through PyAV."""

import os

import flambeau


def _av():
    try:
        import av
    except ImportError:
        raise ImportError(
            "PyAV is not installed, and is necessary for the video operations in "
            "flambeau.vision.io: pip install av"
        ) from None
    return av


def _between(container, stream, start, end):
    """The frames of a stream whose times, in seconds, are within [start, end]."""
    if start > 0:  # to the last frame before it that can be decoded by itself
        container.seek(int(start / stream.time_base), stream=stream)
    else:
        container.seek(0)
    for frame in container.decode(stream):
        if frame.pts is None:
            continue
        time = frame.pts * stream.time_base
        if time > end:
            return
        if time >= start:
            yield frame


def _samples(frame):
    """[channels, samples] of a piece of sound, float from -1 to 1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if values.dtype.kind == "i":
        values = values.astype("float32") / 2 ** (8 * values.dtype.itemsize - 1)
    return flambeau.from_numpy(values.astype("float32", copy=True))


def read_video(filename, start_pts=0, end_pts=None, pts_unit="pts", output_format="THWC"):
    """(frames uint8 [T, H, W, 3] or [T, 3, H, W], sound [channels, samples], rates).

    `start_pts` and `end_pts`, both included, count the video's own units or seconds; of the sound
    come the pieces that begin between them.
    """
    from fractions import Fraction

    av = _av()
    if output_format.upper() not in ("THWC", "TCHW"):
        raise ValueError(f"output_format should be either 'THWC' or 'TCHW', got {output_format}.")
    if pts_unit not in ("pts", "sec"):
        raise ValueError(f"pts_unit should be 'pts' or 'sec', got {pts_unit}")
    if end_pts is not None and end_pts < start_pts:
        raise ValueError(
            "end_pts should be larger than start_pts, got "
            f"start_pts={start_pts} and end_pts={end_pts}"
        )
    if not os.path.exists(filename):
        raise RuntimeError(f"File not found: {filename}")
    frames, sound, info = [], [], {}
    with av.open(os.fspath(filename)) as container:
        streams = container.streams
        unit = 1
        if pts_unit == "pts" and (streams.video or streams.audio):
            unit = (streams.video or streams.audio)[0].time_base
        start = Fraction(start_pts) * unit
        end = float("inf") if end_pts is None else Fraction(end_pts) * unit
        if streams.video:
            if streams.video[0].average_rate is not None:
                info["video_fps"] = float(streams.video[0].average_rate)
            frames = [
                flambeau.from_numpy(frame.to_rgb().to_ndarray())
                for frame in _between(container, streams.video[0], start, end)
            ]
        if streams.audio:
            info["audio_fps"] = streams.audio[0].rate
            sound = [_samples(frame) for frame in _between(container, streams.audio[0], start, end)]
    video = flambeau.stack(frames) if frames else flambeau.empty((0, 1, 1, 3), dtype=flambeau.uint8)
    if output_format.upper() == "TCHW":
        video = video.permute(0, 3, 1, 2)
    return video, flambeau.cat(sound, 1) if sound else flambeau.empty((1, 0)), info


def read_video_timestamps(filename, pts_unit="pts"):
    """(the time of each frame, frames per second)"""
    av = _av()
    with av.open(os.fspath(filename)) as container:
        if not container.streams.video:
            return [], None
        stream = container.streams.video[0]
        times = sorted(frame.pts for frame in container.decode(stream) if frame.pts is not None)
        if pts_unit == "sec":
            times = [pts * stream.time_base for pts in times]
        return times, float(stream.average_rate) if stream.average_rate else None


def write_video(filename, video_array, fps, video_codec="libx264", options=None):
    """Writes uint8 frames [T, H, W, 3] as a video without sound."""
    av = _av()
    frames = flambeau.as_tensor(video_array, dtype=flambeau.uint8).numpy()
    with av.open(os.fspath(filename), mode="w") as container:
        stream = container.add_stream(video_codec, rate=round(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p" if video_codec != "libx264rgb" else "rgb24"
        stream.options = options or {}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)

"""Videos through PyAV."""

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


def _seconds(pts, pts_unit, stream):
    if pts_unit not in ("pts", "sec"):
        raise ValueError(f"pts_unit should be 'pts' or 'sec', got {pts_unit}")
    return float(pts) if pts_unit == "sec" else float(pts * stream.time_base)


def read_video(filename, start_pts=0, end_pts=None, pts_unit="pts", output_format="THWC"):
    """(frames uint8 [T, H, W, 3] or [T, 3, H, W], sound [channels, samples], rates)."""
    av = _av()
    if output_format.upper() not in ("THWC", "TCHW"):
        raise ValueError(f"output_format should be either 'THWC' or 'TCHW', got {output_format}.")
    frames, sound, info = [], [], {}
    with av.open(str(filename)) as container:
        streams = container.streams
        if streams.video:
            stream = streams.video[0]
            info["video_fps"] = float(stream.average_rate)
            for frame in container.decode(stream):
                time = float(frame.pts * stream.time_base)
                if end_pts is not None and time > _seconds(end_pts, pts_unit, stream):
                    break
                if time >= _seconds(start_pts, pts_unit, stream):
                    frames.append(flambeau.from_numpy(frame.to_rgb().to_ndarray().copy()))
        if streams.audio:
            info["audio_fps"] = streams.audio[0].rate
            container.seek(0)
            for frame in container.decode(streams.audio[0]):
                sound.append(flambeau.from_numpy(frame.to_ndarray().copy()))
    video = flambeau.stack(frames) if frames else flambeau.empty((0, 1, 1, 3), dtype=flambeau.uint8)
    if output_format.upper() == "TCHW":
        video = video.permute(0, 3, 1, 2)
    return video, flambeau.cat(sound, 1) if sound else flambeau.empty((1, 0)), info


def read_video_timestamps(filename, pts_unit="pts"):
    """(the time of each frame, frames per second)"""
    av = _av()
    with av.open(str(filename)) as container:
        if not container.streams.video:
            return [], None
        stream = container.streams.video[0]
        times = [frame.pts for frame in container.decode(stream)]
        if pts_unit == "sec":
            times = [pts * stream.time_base for pts in times]
        return times, float(stream.average_rate)


def write_video(filename, video_array, fps, video_codec="libx264", options=None):
    """Writes uint8 frames [T, H, W, 3] as a video without sound."""
    av = _av()
    frames = flambeau.as_tensor(video_array, dtype=flambeau.uint8).numpy()
    with av.open(str(filename), mode="w") as container:
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

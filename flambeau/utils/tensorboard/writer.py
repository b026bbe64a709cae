"""SummaryWriter: values of a training run, written where TensorBoard reads them."""

import os
import time

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from . import summary

__all__ = ["FileWriter", "SummaryWriter"]


class FileWriter:
    """One event file in a folder."""

    def __init__(self, log_dir, max_queue=10, flush_secs=120, filename_suffix=""):
        self.event_writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self):
        """The folder."""
        return self.event_writer.get_logdir()

    def add_event(self, event, step=None, walltime=None):
        """Writes a message, stamped with step and time (seconds; now without one)."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, summary, global_step=None, walltime=None):
        """Writes a summary."""
        self.add_event(Event(summary=summary), global_step, walltime)

    def flush(self):
        self.event_writer.flush()

    def close(self):
        self.event_writer.close()

    def reopen(self):
        self.event_writer.reopen()


class SummaryWriter:
    """Writes a run's values into an event file of log_dir, by default runs/<time>_<host><comment>.

    Every `add_` method takes a tag, the value, global_step and walltime (seconds since the epoch).
    purge_step: the run restarts there; TensorBoard drops what came after it before.

    >>> from flambeau.utils.tensorboard import SummaryWriter  # doctest: +SKIP
    >>> with SummaryWriter("runs/one") as writer:  # doctest: +SKIP
    ...     writer.add_scalar("loss", 0.5, 1)
    """

    def __init__(
        self,
        log_dir=None,
        comment="",
        purge_step=None,
        max_queue=10,
        flush_secs=120,
        filename_suffix="",
    ):
        if not log_dir:
            import socket

            stamp = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{stamp}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step = purge_step
        self._options = max_queue, flush_secs, filename_suffix
        self.file_writer = self.all_writers = None
        self._get_file_writer()

    def _get_file_writer(self):
        if self.file_writer is None:
            self.file_writer = FileWriter(self.log_dir, *self._options)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                start = SessionLog(status=SessionLog.START)
                self.file_writer.add_event(Event(file_version="brain.Event:2"), self.purge_step)
                self.file_writer.add_event(Event(session_log=start), self.purge_step)
                self.purge_step = None
        return self.file_writer

    def _add(self, message, global_step, walltime):
        self._get_file_writer().add_summary(message, global_step, walltime)

    def get_logdir(self):
        """The folder of the event file."""
        return self.log_dir

    # -- numbers ------------------------------------------------------------------------------
    def add_scalar(
        self,
        tag,
        scalar_value,
        global_step=None,
        walltime=None,
        new_style=False,
        double_precision=False,
    ):
        """A number."""
        message = summary.scalar(tag, scalar_value, new_style, double_precision)
        self._add(message, global_step, walltime)

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None):
        """Several numbers in one chart; each name gets an event file of its own."""
        self._get_file_writer()
        for name, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, main_tag.replace("/", "_") + "_" + name)
            if folder not in self.all_writers:
                self.all_writers[folder] = FileWriter(folder, *self._options)
            message = summary.scalar(main_tag, value)
            self.all_writers[folder].add_summary(message, global_step, walltime)

    def add_tensor(self, tag, tensor, global_step=None, walltime=None):
        """A tensor as it is."""
        self._add(summary.tensor(tag, tensor), global_step, walltime)

    def add_histogram(
        self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None
    ):
        """The distribution of values; bins as numpy.histogram takes them, or "tensorflow"."""
        self._add(summary.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag,
        min,
        max,
        num,
        sum,
        sum_squares,
        bucket_limits,
        bucket_counts,
        global_step=None,
        walltime=None,
    ):
        """A distribution counted elsewhere: the upper edge and count of each bucket."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        message = summary.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._add(message, global_step, walltime)

    # -- pictures and sound -------------------------------------------------------------------
    def add_image(self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"):
        """A picture: uint8, or floats from 0 to 1; dataformats orders C, H and W."""
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(self, tag, img_tensor, global_step=None, walltime=None, dataformats="NCHW"):
        """A batch of pictures, as a grid."""
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_image_with_boxes(
        self,
        tag,
        img_tensor,
        box_tensor,
        global_step=None,
        walltime=None,
        rescale=1,
        dataformats="CHW",
        labels=None,
    ):
        """A picture with boxes (x1, y1, x2, y2), each with a label if given."""
        labels = [labels] if isinstance(labels, str) else labels
        if labels is not None and len(labels) != len(box_tensor):
            raise ValueError("add_image_with_boxes(): as many labels as boxes are wanted")
        message = summary.boxed(tag, img_tensor, box_tensor, rescale, dataformats, labels)
        self._add(message, global_step, walltime)

    def add_figure(self, tag, figure, global_step=None, close=True, walltime=None):
        """A matplotlib figure, or a list of them."""
        import numpy
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figures = figure if isinstance(figure, list) else [figure]
        pictures = []
        for one in figures:
            canvas = FigureCanvasAgg(one)
            canvas.draw()
            pictures.append(numpy.asarray(canvas.buffer_rgba())[:, :, :3])
            if close:
                import matplotlib.pyplot

                matplotlib.pyplot.close(one)
        formats = "NHWC" if isinstance(figure, list) else "HWC"
        values = numpy.stack(pictures) if isinstance(figure, list) else pictures[0]
        self.add_image(tag, values, global_step, walltime, formats)

    def add_video(self, tag, vid_tensor, global_step=None, fps=4, walltime=None):
        """(N, T, C, H, W), uint8 or floats from 0 to 1, as an animated picture."""
        self._add(summary.video(tag, vid_tensor, fps), global_step, walltime)

    def add_audio(self, tag, snd_tensor, global_step=None, sample_rate=44100, walltime=None):
        """Samples from -1 to 1, of shape (1, L) or (L)."""
        self._add(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    # -- the rest -----------------------------------------------------------------------------
    def add_text(self, tag, text_string, global_step=None, walltime=None):
        """Text, shown as Markdown."""
        self._add(summary.text(tag, text_string), global_step, walltime)

    def add_graph(self, model, input_to_model=None, verbose=False, use_strict_trace=True):
        """The module's graph, as `fx.symbolic_trace` records it."""
        made = summary.graph(model, input_to_model)
        if verbose:
            print(made)
        event = Event(graph_def=made.SerializeToString())
        self._get_file_writer().add_event(event)

    def add_onnx_graph(self, prototxt):
        """RuntimeError: ONNX files are not read."""
        raise RuntimeError("add_onnx_graph(): flambeau does not read ONNX files")

    def add_embedding(
        self,
        mat,
        metadata=None,
        label_img=None,
        global_step=None,
        tag="default",
        metadata_header=None,
    ):
        """Points for the projector: a row each, with labels and small pictures if given."""
        from .embedding import write_embedding

        write_embedding(
            self.log_dir, summary.array(mat), metadata, label_img, global_step, tag, metadata_header
        )

    def add_pr_curve(
        self,
        tag,
        labels,
        predictions,
        global_step=None,
        num_thresholds=127,
        weights=None,
        walltime=None,
    ):
        """Precision against recall: labels 0 or 1, predictions from 0 to 1."""
        message = summary.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._add(message, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag,
        true_positive_counts,
        false_positive_counts,
        true_negative_counts,
        false_negative_counts,
        precision,
        recall,
        global_step=None,
        num_thresholds=127,
        weights=None,
        walltime=None,
    ):
        """A precision-recall curve counted elsewhere, already weighted."""
        rows = [true_positive_counts, false_positive_counts, true_negative_counts]
        rows += [false_negative_counts, precision, recall]
        self._add(summary.pr_curve_raw(tag, rows, num_thresholds), global_step, walltime)

    def add_custom_scalars(self, layout):
        """Charts of several tags: {category: {title: ["Multiline" or "Margin", [tags]]}}."""
        self._add(summary.layout(layout), None, None)

    def add_custom_scalars_multilinechart(self, tags, category="default", title="untitled"):
        """One chart with a line for each tag."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags, category="default", title="untitled"):
        """One chart of a value between two bounds: three tags."""
        if len(tags) != 3:
            raise AssertionError(f"a margin chart has three tags, not {len(tags)}")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_mesh(
        self,
        tag,
        vertices,
        colors=None,
        faces=None,
        config_dict=None,
        global_step=None,
        walltime=None,
    ):
        """Meshes or points: vertices (B, N, 3), colors (B, N, 3) from 0 to 255, faces (B, M, 3)."""
        parts = {"vertices": vertices, "faces": faces, "colors": colors}
        self._add(summary.mesh(tag, parts, config_dict), global_step, walltime)

    def add_hparams(
        self,
        hparam_dict,
        metric_dict,
        hparam_domain_discrete=None,
        run_name=None,
        global_step=None,
    ):
        """Hyperparameters and what they led to, as a run of its own."""
        messages = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(log_dir=folder) as writer:
            for message in messages:
                writer.file_writer.add_summary(message, global_step)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    # -- files --------------------------------------------------------------------------------
    def flush(self):
        """Writes what is waiting."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self):
        """Ends the event files; a later `add_` begins new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

"""Recurrent layers and cells."""

import math

import flambeau as torch
from flambeau._ops import internal

from .. import functional as F
from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

_lstm, _gru = internal["_lstm"], internal["_gru"]
_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def _gru_step(projected, hidden, w_hh, b_hh):
    reset_x, update_x, new_x = projected.chunk(3, -1)
    reset_h, update_h, new_h = F.linear(hidden, w_hh, b_hh).chunk(3, -1)
    update = torch.sigmoid(update_x + update_h)
    new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
    return new + update * (hidden - new)


def _lstm_step(projected, hidden, cell, w_hh, b_hh):
    gates = projected + F.linear(hidden, w_hh, b_hh)
    into, forget, new, out = gates.chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell


def _step(mode, projected, state, w_hh, b_hh, w_hr):
    """One time step; the state is (hidden,) or, for an LSTM, (hidden, cell)."""
    if mode == "LSTM":
        hidden, cell = _lstm_step(projected, *state, w_hh, b_hh)
        return (hidden if w_hr is None else F.linear(hidden, w_hr)), cell
    if mode == "GRU":
        return (_gru_step(projected, state[0], w_hh, b_hh),)
    total = projected + F.linear(state[0], w_hh, b_hh)
    return (torch.tanh(total) if mode == "RNN_TANH" else F.relu(total),)


def _run(mode, steps, state, weights, backwards):
    """One layer in one direction over a list of steps, whose batches shrink with time.

    Returns the output of each step and the state of each sequence at its end.
    """
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    sizes = [step.shape[0] for step in steps]
    projected = F.linear(torch.cat(steps), w_ih, b_ih).split(sizes)
    outputs = [None] * len(steps)
    ended = []  # the states of sequences that are over, last one first
    batch = sizes[-1] if backwards else sizes[0]
    rest = state
    state = tuple(s[:batch] for s in rest)
    for t in reversed(range(len(steps))) if backwards else range(len(steps)):
        if sizes[t] > batch:  # backwards: sequences begin
            state = tuple(torch.cat([s, r[batch : sizes[t]]]) for s, r in zip(state, rest))
        elif sizes[t] < batch:  # forwards: sequences end
            ended.append(tuple(s[sizes[t] :] for s in state))
            state = tuple(s[: sizes[t]] for s in state)
        batch = sizes[t]
        state = _step(mode, projected[t], state, w_hh, b_hh, w_hr)
        outputs[t] = state[0]
    if ended:
        state = tuple(torch.cat(parts) for parts in zip(state, *reversed(ended)))
    return outputs, state


def _is_fused(mode, input, state, weights):
    """Whether there is one operator for all steps of a layer."""
    plain = mode in ("LSTM", "GRU") and weights[-1] is None
    return plain and input.dtype == state[0].dtype and not input.dtype.is_complex


def _fused(mode, projected, state, weights, backwards):
    """All steps of a layer in one direction: (outputs,), or for an LSTM (outputs, cells)."""
    # Half precision is summed and kept in float32 between the steps.
    kind = state[0].dtype
    exact = torch.float64 if kind == torch.float64 else torch.float32
    w_hh, b_hh = weights[1].to(exact), None if weights[3] is None else weights[3].to(exact)
    layer = _gru if mode == "GRU" else _lstm
    found = layer(projected.to(exact), *[s.to(exact) for s in state], w_hh, b_hh, backwards)
    return tuple(t.to(kind) for t in found[: len(state)])


def _run_whole(mode, input, state, weights, backwards):
    """`_run` over a tensor (T, N, size) of sequences of one length; returns a tensor, too."""
    if _is_fused(mode, input, state, weights):
        projected = F.linear(input, weights[0], weights[2])
        found = _fused(mode, projected, state, weights, backwards)
        return found[0], tuple(t[0 if backwards else -1] for t in found)
    outputs, end = _run(mode, input.unbind(0), state, weights, backwards)
    return torch.stack(outputs), end


class _Places:
    """Where the rows of packed sequences are in steps of equal size, (T, N) in a row."""

    def __init__(self, batch_sizes):
        self.steps, self.batch = len(batch_sizes), int(batch_sizes[0])
        steps = torch.arange(self.steps)
        time = steps.repeat_interleave(batch_sizes)
        which = torch.arange(len(time)) - (batch_sizes.cumsum(0) - batch_sizes)[time]
        lengths = (batch_sizes.unsqueeze(1) > torch.arange(self.batch)).sum(0)
        self.forwards = time * self.batch + which
        # From its end on: what lies behind a sequence is never run before it.
        self.backwards = (lengths[which] - 1 - time) * self.batch + which
        self.last = (lengths - 1) * self.batch + torch.arange(self.batch)

    def run(self, mode, rows, state, weights, backwards):
        """A fused layer over the rows; returns rows, too, and the states at the ends."""
        at = (self.backwards if backwards else self.forwards).to(rows.device)
        projected = F.linear(rows, weights[0], weights[2])
        padded = projected.new_zeros((self.steps * self.batch, projected.shape[1]))
        padded = padded.index_copy(0, at, projected).view(self.steps, self.batch, -1)
        found = [t.flatten(0, 1) for t in _fused(mode, padded, state, weights, False)]
        return found[0][at], tuple(t[self.last.to(rows.device)] for t in found)


class RNNBase(Module):
    """What RNN, LSTM and GRU share: weights of all layers and the run over time."""

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self._check_arguments(mode, input_size, hidden_size, num_layers, batch_first, dropout)
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[: 2 if bidirectional else 1]:
                self._add_layer(f"l{layer}{suffix}", layer == 0, device, dtype)
        self.reset_parameters()

    @staticmethod
    def _check_arguments(mode, input_size, hidden_size, num_layers, batch_first, dropout):
        if mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        for name, value, wanted in (
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, wanted):
                raise TypeError(
                    f"{name} should be of type {wanted.__name__}, got: {type(value).__name__}"
                )
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if dropout > 0 and num_layers == 1:
            import warnings

            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=4,
            )

    def _add_layer(self, suffix, first, device, dtype):
        gates = _GATES[self.mode] * self.hidden_size
        state = self.proj_size or self.hidden_size
        width = self.input_size if first else state * (2 if self.bidirectional else 1)
        shapes = {"weight_ih": (gates, width), "weight_hh": (gates, state)}
        if self.bias:
            shapes["bias_ih"] = shapes["bias_hh"] = (gates,)
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for name, shape in shapes.items():
            names.append(f"{name}_{suffix}")
            setattr(self, names[-1], Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self._all_weights.append(names)

    def __getstate__(self):
        """The attributes, and the weights in the lists that PyTorch's modules of this name keep."""
        names = [name for layer in self._all_weights for name in layer]
        weights = [getattr(self, name) for name in names]
        return {**self.__dict__, "_flat_weights_names": names, "_flat_weights": weights}

    def __setstate__(self, state):
        lists = ("_flat_weights_names", "_flat_weights")
        super().__setstate__({k: v for k, v in state.items() if k not in lists})

    @property
    def all_weights(self):
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self):
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self):
        return [getattr(self, name, None) for name in self._flat_weights_names]

    def flatten_parameters(self):
        """Nothing to do here: weights are packed when they are used."""

    def reset_parameters(self):
        """Draws new weights."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text

    def _weights(self, index):
        names = dict.fromkeys(("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"))
        for name in self._all_weights[index]:
            kind = "_".join(name.split("_")[:2])
            names[kind] = getattr(self, name)
        return tuple(names.values())

    def _state_size(self, input, batch_sizes, width):
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.shape[0 if self.batch_first else 1]
        return self.num_layers * (2 if self.bidirectional else 1), batch, width

    def get_expected_hidden_size(self, input, batch_sizes):
        """The shape of the hidden state that goes with an input."""
        return self._state_size(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}"):
        """Complains about a hidden state of another shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(tuple(expected_hidden_size), list(hx.shape)))

    def check_forward_args(self, input, hidden, batch_sizes):
        """Complains about an input, or a state that does not go with it."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        """The hidden states of a batch in another order; None leaves them."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def _first_state(self, hx, input, batch_sizes):
        """The states to begin with, [layers * directions, batch, size] each."""
        if hx is None:
            sizes = [self.get_expected_hidden_size(input, batch_sizes)]
            if self.mode == "LSTM":
                sizes.append(self._state_size(input, batch_sizes, self.hidden_size))
            return tuple(input.new_zeros(size) for size in sizes)
        self.check_forward_args(input, hx, batch_sizes)
        return tuple(hx) if self.mode == "LSTM" else (hx,)

    def _run_layers(self, steps, state, places=None):
        """All layers over a tensor (T, N, size), or packed rows with their `places`, or a list of
        steps whose batches shrink."""
        whole = isinstance(steps, torch.Tensor)
        run = places.run if places else _run_whole if whole else _run
        directions = 2 if self.bidirectional else 1
        final = []
        for layer in range(self.num_layers):
            runs = []
            for direction in range(directions):
                i = layer * directions + direction
                part = tuple(s[i] for s in state)
                outputs, end = run(self.mode, steps, part, self._weights(i), direction == 1)
                runs.append(outputs)
                final.append(end)
            steps = runs[0]
            if directions == 2 and whole:
                steps = torch.cat(runs, -1)
            elif directions == 2:
                steps = [torch.cat(pair, -1) for pair in zip(*runs)]
            if not (self.dropout and self.training and layer < self.num_layers - 1):
                continue
            if whole:
                steps = F.dropout(steps, self.dropout)
            else:
                sizes = [step.shape[0] for step in steps]
                steps = F.dropout(torch.cat(steps), self.dropout).split(sizes)
        return steps, tuple(torch.stack(parts) for parts in zip(*final))

    def check_input(self, input, batch_sizes):
        """Complains about an input of another type or shape than the weights want."""
        weight = getattr(self, self._all_weights[0][0])
        if input.dtype != weight.dtype and not torch.is_autocast_enabled(input.device.type):
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: "
                f"model.to({input.dtype})"
            )
        wanted = 3 if batch_sizes is None else 2
        if input.dim() != wanted:
            raise RuntimeError(f"input must have {wanted} dimensions, got {input.dim()}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.shape[-1]}"
            )
        if batch_sizes is None and input.shape[int(self.batch_first)] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

    def _check_unbatched_state(self, hx, batched, dims):
        if hx is None:
            return
        lstm = self.mode == "LSTM"
        if any(state.dim() != dims for state in (hx if lstm else (hx,))):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            if lstm:
                got = ", ".join(f"{state.dim()}-D" for state in hx)
                raise RuntimeError(
                    f"For {kind} input, hx and cx should also be {dims}-D but got ({got}) tensors"
                )
            raise RuntimeError(
                f"For {kind} input, hx should also be {dims}-D but got {hx.dim()}-D tensor"
            )

    def forward(self, input, hx=None):
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        batched = input.dim() == 3
        self._check_unbatched_state(hx, batched, 3 if batched else 2)
        time = 1 if self.batch_first else 0
        if not batched:
            input = input.unsqueeze(1 - time)
            if hx is not None:
                lstm = self.mode == "LSTM"
                hx = tuple(s.unsqueeze(1) for s in hx) if lstm else hx.unsqueeze(1)
        self.check_input(input, None)
        input, hx = self._lowered(input, hx)
        state = self._first_state(hx, input, None)
        steps, state = self._run_layers(input.transpose(0, 1) if time else input, state)
        output = steps.transpose(0, 1).contiguous() if time else steps
        if not batched:
            output, state = output.squeeze(1 - time), tuple(s.squeeze(1) for s in state)
        return output, (state if self.mode == "LSTM" else state[0])

    def _lowered(self, input, hx):
        """Under autocast an LSTM without projections runs and answers in the lower precision."""
        device = input.device.type
        if self.mode != "LSTM" or self.proj_size or not torch.is_autocast_enabled(device):
            return input, hx
        if input.dtype == torch.float64:
            return input, hx
        dtype = torch.get_autocast_dtype(device)
        return input.to(dtype), None if hx is None else tuple(s.to(dtype) for s in hx)

    def _forward_packed(self, input, hx):
        data, batch_sizes, order, back = input
        self.check_input(data, batch_sizes)
        sizes = batch_sizes.tolist()
        state = self._first_state(hx, data, batch_sizes)
        if order is not None and hx is not None:
            state = tuple(s.index_select(1, order) for s in state)
        fused = _is_fused(self.mode, data, state, self._weights(0))
        # Few long sequences among short ones would mostly run over padding.
        if fused and len(sizes) * sizes[0] <= 8 * len(data):
            steps, state = self._run_layers(data, state, _Places(batch_sizes))
        else:
            steps, state = self._run_layers(list(data.split(sizes)), state)
            steps = torch.cat(steps)
        if back is not None:
            state = tuple(s.index_select(1, back) for s in state)
        output = PackedSequence(steps, batch_sizes, order, back)
        return output, (state if self.mode == "LSTM" else state[0])


def _no_projection(kwargs):
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """``h = tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)`` over time, in several layers.

    Shapes: input (T, N, input_size), or (N, T, input_size) with `batch_first`, or (T,
    input_size); output of hidden_size for each direction, and the last hidden state of each layer.

    >>> import flambeau as torch
    >>> output, hidden = torch.nn.RNN(10, 20, 2)(torch.ones(5, 3, 10))
    >>> output.shape, hidden.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
        **kwargs,
    ):
        _no_projection(kwargs)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            "RNN_" + nonlinearity.upper(),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
            **kwargs,
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), in several layers.

    Shapes as RNN's; the state is a pair of hidden and cell state.

    >>> import flambeau as torch
    >>> output, (hidden, cell) = torch.nn.LSTM(10, 20)(torch.ones(5, 3, 10))
    >>> output.shape, cell.shape
    (torch.Size([5, 3, 20]), torch.Size([1, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input, batch_sizes):
        """The shape of the cell state that goes with an input."""
        return self._state_size(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input, hidden, batch_sizes):
        """Complains about an input, or a pair of states that does not go with it."""
        self.check_input(input, batch_sizes)
        for state, size, name in zip(
            hidden,
            (
                self.get_expected_hidden_size(input, batch_sizes),
                self.get_expected_cell_size(input, batch_sizes),
            ),
            ("hidden[0]", "hidden[1]"),
        ):
            self.check_hidden_size(state, size, f"Expected {name} size {{}}, got {{}}")

    def permute_hidden(self, hx, permutation):
        """Both states of a batch in another order; None leaves them."""
        if permutation is None:
            return hx
        return tuple(state.index_select(1, permutation) for state in hx)


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014), in several layers. Shapes as RNN's.

    >>> import flambeau as torch
    >>> output, hidden = torch.nn.GRU(10, 20, bidirectional=True)(torch.ones(5, 3, 10))
    >>> output.shape, hidden.shape
    (torch.Size([5, 3, 40]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
        **kwargs,
    ):
        _no_projection(kwargs)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
            **kwargs,
        )


class RNNCellBase(Module):
    """What the cells share: the weights of one step."""

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size

        def empty(*shape):
            return Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight_ih = empty(gates, input_size)
        self.weight_hh = empty(gates, hidden_size)
        if bias:
            self.bias_ih = empty(gates)
            self.bias_hh = empty(gates)
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draws new weights."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _advance(self, mode, input, states):
        name = self._get_name()
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {input.shape[-1]} expected "
                f"{self.input_size}"
            )
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        batch = input.shape[0]
        for i, state in enumerate(states):
            self._check_state(i, state, batched, batch)
        full = tuple(
            input.new_zeros((batch, self.hidden_size))
            if state is None
            else state.unsqueeze(0)
            if not batched
            else state
            for state in states
        )
        projected = F.linear(input, self.weight_ih, self.bias_ih)
        new = _step(mode, projected, full, self.weight_hh, self.bias_hh, None)
        return new if batched else tuple(state.squeeze(0) for state in new)

    def _check_state(self, i, state, batched, batch):
        if state is None:
            return
        if state.dim() not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected hidden to be 1D or 2D, got {state.dim()}D instead"
            )
        if state.shape[-1] != self.hidden_size:
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {state.shape[-1]}, expected "
                f"{self.hidden_size}"
            )
        got = state.shape[0] if state.dim() == 2 else 1
        if state.dim() != (2 if batched else 1) or (batched and got != batch):
            raise RuntimeError(f"Input batch size {batch} doesn't match hidden{i} batch size {got}")


class RNNCell(RNNCellBase):
    """One step of an RNN. Shapes: input (N, input_size), hidden (N, hidden_size), or without N.

    >>> import flambeau as torch
    >>> torch.nn.RNNCell(10, 20)(torch.ones(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(
        self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None
    ):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._advance("RNN_" + self.nonlinearity.upper(), input, (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM; the state is a pair of hidden and cell state.

    >>> import flambeau as torch
    >>> hidden, cell = torch.nn.LSTMCell(10, 20)(torch.ones(3, 10))
    >>> hidden.shape
    torch.Size([3, 20])
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        return self._advance("LSTM", input, (None, None) if hx is None else hx)


class GRUCell(RNNCellBase):
    """One step of a GRU. Shapes as RNNCell's.

    >>> import flambeau as torch
    >>> torch.nn.GRUCell(10, 20)(torch.ones(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        return self._advance("GRU", input, (hx,))[0]


def apply_permutation(tensor, permutation, dim=1):
    """The parts of a tensor along a dimension in another order."""
    return tensor.index_select(dim, permutation)

"""Recurrent layers whose weights are integers; states and inputs are floats."""

import flambeau
from flambeau import nn
from flambeau.nn.utils.rnn import PackedSequence

from ..._packed import Packed, quantized_weight
from .linear import _weight_observer


class PackedParameter(nn.Module):
    """The weights of one layer and direction, in the state_dict as one entry."""

    def __init__(self, param):
        super().__init__()
        self.param = param

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "param"] = tuple(p.unpack() for p in self.param)

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
        if prefix + "param" in state_dict:
            self.param = tuple(Packed(*p) for p in state_dict.pop(prefix + "param"))
        super()._load_from_state_dict(state_dict, prefix, metadata, False, *lists)


def _lstm(by_input, by_state, c):
    i, f, g, o = (by_input + by_state).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(by_input, by_state, h):
    r, z, n = by_input.chunk(3, 1)
    hr, hz, hn = by_state.chunk(3, 1)
    r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
    n = (n + r * hn).tanh()
    return (h - n) * z + n


def _packed(mod, observer, ending):
    """The two products of a cell or of a layer's direction."""
    made = []
    for name in ("ih", "hh"):
        weight = getattr(mod, f"weight_{name}{ending}")
        bias = getattr(mod, f"bias_{name}{ending}", None)
        bias = None if bias is None else bias.detach().clone()
        made.append(Packed(quantized_weight(weight, observer()), bias))
    return tuple(made)


class RNNBase(nn.Module):
    """What LSTM and GRU share."""

    _FLOAT_MODULE = nn.RNNBase
    _gates = 0

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
        dtype=flambeau.qint8,
    ):
        super().__init__()
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.dtype = float(dropout), bidirectional, dtype
        self.training = False
        plain = getattr(nn, mode)(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
        self._take(plain, _observer_for(dtype))

    def _take(self, mod, observer):
        endings = [
            f"_l{layer}{direction}"
            for layer in range(mod.num_layers)
            for direction in ("", "_reverse")[: 1 + bool(mod.bidirectional)]
        ]
        self._all_weight_values = nn.ModuleList(
            PackedParameter(_packed(mod, observer, ending)) for ending in endings
        )

    def _get_name(self):
        return f"DynamicQuantized{self.mode}"

    def extra_repr(self):
        """The sizes."""
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text

    def __repr__(self):
        return f"{self._get_name()}({self.extra_repr()})"

    def _step(self, by_input, by_state, state):
        raise NotImplementedError

    def _run(self, packed, data, sizes, state, reverse):
        """One layer in one direction: the outputs of all steps in a row, and the last state.

        data: the inputs of all steps, which are quantized together; sizes: how many each step has.
        """
        ih, hh = packed
        products = ih.dynamic(data).split(sizes)
        outputs = [None] * len(sizes)
        for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
            n = sizes[t]
            now = tuple(s[:n] for s in state)
            new = self._step(products[t], hh.dynamic(now[0]), now)
            if n < state[0].size(0):  # sequences that have ended, or not begun
                new = tuple(flambeau.cat([a, s[n:]]) for a, s in zip(new, state))
            state = new
            outputs[t] = state[0][:n]
        return flambeau.cat(outputs), state

    def _layers(self, data, sizes, states):
        directions = 2 if self.bidirectional else 1
        last = []
        for layer in range(self.num_layers):
            sides = []
            for d in range(directions):
                at = layer * directions + d
                start = tuple(s[at] for s in states)
                packed = self._all_weight_values[at].param
                outputs, end = self._run(packed, data, sizes, start, d == 1)
                sides.append(outputs)
                last.append(end)
            data = flambeau.cat(sides, 1) if directions == 2 else sides[0]
        return data, tuple(flambeau.stack(parts) for parts in zip(*last))

    def _forward(self, input, states):
        packed = isinstance(input, PackedSequence)
        if packed:
            data, sizes = input.data, input.batch_sizes.tolist()
        else:
            single = input.dim() == 2
            x = input.unsqueeze(0 if self.batch_first else 1) if single else input
            x = x.transpose(0, 1) if self.batch_first else x
            data, sizes = x.flatten(0, 1), [x.size(1)] * x.size(0)
            if single and states is not None:
                states = tuple(s.unsqueeze(1) for s in states)
        if states is None:
            shape = len(self._all_weight_values), sizes[0], self.hidden_size
            states = (data.new_zeros(shape),) * self._gates
        elif packed and input.sorted_indices is not None:
            states = tuple(s.index_select(1, input.sorted_indices) for s in states)
        data, last = self._layers(data, sizes, states)
        if packed:
            output = PackedSequence(
                data, input.batch_sizes, input.sorted_indices, input.unsorted_indices
            )
            if input.unsorted_indices is not None:
                last = tuple(s.index_select(1, input.unsorted_indices) for s in last)
            return output, last
        output = data.unflatten(0, (len(sizes), sizes[0]))
        output = output.transpose(0, 1) if self.batch_first else output
        if single:
            output = output.squeeze(0 if self.batch_first else 1)
            last = tuple(s.squeeze(1) for s in last)
        return output, last

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.LSTM or nn.GRU."""
        if getattr(mod, "proj_size", 0):
            raise NotImplementedError("dynamic LSTM: projections are not supported")
        dtype = _weight_observer(mod).dtype
        made = cls(
            mod.input_size,
            mod.hidden_size,
            mod.num_layers,
            mod.bias,
            mod.batch_first,
            mod.dropout,
            mod.bidirectional,
            dtype=dtype,
        )
        made._take(mod, lambda: _weight_observer(mod))
        return made

    def _by_name(self, what):
        found = {}
        for at, value in enumerate(self._all_weight_values):
            layer, reverse = divmod(at, 2) if self.bidirectional else (at, 0)
            for name, packed in zip(("ih", "hh"), value.param):
                ending = f"_l{layer}{'_reverse' if reverse else ''}"
                found[f"{what}_{name}{ending}"] = getattr(packed, what)
        return found

    def get_weight(self):
        """The weights by their names in the float module."""
        return self._by_name("weight")

    def get_bias(self):
        """The biases by their names in the float module."""
        return self._by_name("bias")


def _observer_for(dtype):
    from flambeau.ao import quantization as q

    found = {
        flambeau.qint8: q.default_dynamic_qconfig,
        flambeau.float16: q.float16_dynamic_qconfig,
    }
    return found[dtype].weight


class LSTM(RNNBase):
    """nn.LSTM with weights of 8-bit integers."""

    _FLOAT_MODULE = nn.LSTM
    _gates = 2

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def _step(self, by_input, by_state, state):
        return _lstm(by_input, by_state, state[1])

    def forward(self, input, hx=None):
        """(outputs, (h, c))."""
        return self._forward(input, hx)


class GRU(RNNBase):
    """nn.GRU with weights of 8-bit integers."""

    _FLOAT_MODULE = nn.GRU
    _gates = 1

    def __init__(self, *args, **kwargs):
        super().__init__("GRU", *args, **kwargs)

    def _step(self, by_input, by_state, state):
        return (_gru(by_input, by_state, state[0]),)

    def forward(self, input, hx=None):
        """(outputs, h)."""
        output, (h,) = self._forward(input, None if hx is None else (hx,))
        return output, h


class RNNCellBase(nn.Module):
    """What the cells share."""

    def __init__(self, input_size, hidden_size, bias=True, num_chunks=4, dtype=flambeau.qint8):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.weight_dtype = dtype
        plain = self._FLOAT_MODULE(input_size, hidden_size, bias)
        self._packed_weight_ih, self._packed_weight_hh = _packed(plain, _observer_for(dtype), "")

    def _get_name(self):
        return f"DynamicQuantized{type(self).__name__}"

    def extra_repr(self):
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _products(self, input, h):
        if h is None:
            h = input.new_zeros(*input.shape[:-1], self.hidden_size)
        single = input.dim() == 1
        x, h = (t.unsqueeze(0) if single else t for t in (input, h))
        return self._packed_weight_ih.dynamic(x), self._packed_weight_hh.dynamic(h), h, single

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of the cell of floats."""
        dtype = _weight_observer(mod).dtype
        made = cls._like(mod, dtype)
        packed = _packed(mod, lambda: _weight_observer(mod), "")
        made._packed_weight_ih, made._packed_weight_hh = packed
        return made

    @classmethod
    def _like(cls, mod, dtype):
        return cls(mod.input_size, mod.hidden_size, mod.bias, dtype=dtype)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in ("_packed_weight_ih", "_packed_weight_hh"):
            destination[prefix + name] = getattr(self, name).unpack()

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
        for name in ("_packed_weight_ih", "_packed_weight_hh"):
            if prefix + name in state_dict:
                setattr(self, name, Packed(*state_dict.pop(prefix + name)))
        super()._load_from_state_dict(state_dict, prefix, metadata, False, *lists)


class LSTMCell(RNNCellBase):
    """nn.LSTMCell with weights of 8-bit integers."""

    _FLOAT_MODULE = nn.LSTMCell

    def forward(self, input, hx=None):
        """(h, c)."""
        by_input, by_state, h, single = self._products(input, None if hx is None else hx[0])
        c = h.new_zeros(h.shape) if hx is None else hx[1].unsqueeze(0) if single else hx[1]
        new = _lstm(by_input, by_state, c)
        return tuple(t.squeeze(0) for t in new) if single else new


class GRUCell(RNNCellBase):
    """nn.GRUCell with weights of 8-bit integers."""

    _FLOAT_MODULE = nn.GRUCell

    def forward(self, input, hx=None):
        """h."""
        by_input, by_state, h, single = self._products(input, hx)
        new = _gru(by_input, by_state, h)
        return new.squeeze(0) if single else new


class RNNCell(RNNCellBase):
    """nn.RNNCell with weights of 8-bit integers."""

    _FLOAT_MODULE = nn.RNNCell

    def __init__(
        self, input_size, hidden_size, bias=True, nonlinearity="tanh", dtype=flambeau.qint8
    ):
        super().__init__(input_size, hidden_size, bias, dtype=dtype)
        self.nonlinearity = nonlinearity

    @classmethod
    def _like(cls, mod, dtype):
        return cls(mod.input_size, mod.hidden_size, mod.bias, mod.nonlinearity, dtype)

    def forward(self, input, hx=None):
        """h."""
        by_input, by_state, _, single = self._products(input, hx)
        y = by_input + by_state
        y = y.tanh() if self.nonlinearity == "tanh" else y.relu()
        return y.squeeze(0) if single else y

"""LSTM as modules of its own for every product, sum and gate."""

import warnings

import flambeau
from flambeau import nn
from flambeau.ao.nn.quantized.modules.functional_modules import FloatFunctional


def _zeros(x, *sizes):
    """Zeros of sizes that go with x, integers if x is."""
    zeros = flambeau.zeros(sizes, dtype=flambeau.float32 if x.is_quantized else x.dtype)
    if not x.is_quantized:
        return zeros.to(x.device)
    return flambeau.quantize_per_tensor(zeros, 1.0, 0, x.dtype)  # zero in any scale


class LSTMCell(nn.Module):
    """One step of an LSTM.

    >>> import flambeau as torch
    >>> h, c = torch.ao.nn.quantizable.LSTMCell(3, 4)(torch.ones(2, 3))
    >>> h.shape
    torch.Size([2, 4])
    """

    _FLOAT_MODULE = nn.LSTMCell

    def __init__(self, input_dim, hidden_dim, bias=True, device=None, dtype=None):
        super().__init__()
        made = {"device": device, "dtype": dtype}
        self.input_size, self.hidden_size, self.bias = input_dim, hidden_dim, bias
        self.igates = nn.Linear(input_dim, 4 * hidden_dim, bias=bias, **made)
        self.hgates = nn.Linear(hidden_dim, 4 * hidden_dim, bias=bias, **made)
        self.gates = FloatFunctional()
        self.input_gate, self.forget_gate = nn.Sigmoid(), nn.Sigmoid()
        self.cell_gate, self.output_gate = nn.Tanh(), nn.Sigmoid()
        self.fgate_cx, self.igate_cgate = FloatFunctional(), FloatFunctional()
        self.fgate_cx_igate_cgate, self.ogate_cy = FloatFunctional(), FloatFunctional()

    def forward(self, x, hidden=None):
        """(h, c) after x."""
        if hidden is None or hidden[0] is None or hidden[1] is None:
            hidden = self.initialize_hidden(x)
        h, c = hidden
        gates = self.gates.add(self.igates(x), self.hgates(h))
        into, keep, new, out = gates.chunk(4, 1)
        into, keep = self.input_gate(into), self.forget_gate(keep)
        new, out = self.cell_gate(new), self.output_gate(out)
        kept, added = self.fgate_cx.mul(keep, c), self.igate_cgate.mul(into, new)
        c = self.fgate_cx_igate_cgate.add(kept, added)
        return self.ogate_cy.mul(out, flambeau.tanh(c)), c

    def initialize_hidden(self, x):
        """(h, c) of zeros."""
        zeros = _zeros(x, x.shape[0], self.hidden_size)
        return zeros, zeros

    def _get_name(self):
        return "QuantizableLSTMCell"

    @classmethod
    def from_params(cls, wi, wh, bi=None, bh=None):
        """A cell of the weights and biases of an nn.LSTMCell."""
        if (bi is None) != (bh is None):
            raise AssertionError("either both of the biases are None or neither is")
        made = cls(wi.shape[1], wh.shape[1], bi is not None, wi.device, wi.dtype)
        for linear, weight, bias in ((made.igates, wi, bi), (made.hgates, wh, bh)):
            linear.weight = nn.Parameter(weight.detach().clone())
            if bias is not None:
                linear.bias = nn.Parameter(bias.detach().clone())
        return made

    @classmethod
    def from_float(cls, other, use_precomputed_fake_quant=False):
        """Of an nn.LSTMCell with a qconfig."""
        if not hasattr(other, "qconfig"):
            raise AssertionError("The float module must have 'qconfig'")
        biases = (other.bias_ih, other.bias_hh) if other.bias else ()
        made = cls.from_params(other.weight_ih, other.weight_hh, *biases)
        made.qconfig = made.igates.qconfig = made.hgates.qconfig = other.qconfig
        return made


class _LSTMSingleLayer(nn.Module):
    """A cell over the steps of a sequence."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, hidden=None):
        steps = []
        for step in x.unbind(0):
            hidden = self.cell(step, hidden)
            steps.append(hidden[0])
        return flambeau.stack(steps, 0), hidden


class _LSTMLayer(nn.Module):
    """One layer, in one direction or both."""

    def __init__(self, forward_cell, backward_cell=None):
        super().__init__()
        self.bidirectional = backward_cell is not None
        self.layer_fw = _LSTMSingleLayer(forward_cell)
        if self.bidirectional:
            self.layer_bw = _LSTMSingleLayer(backward_cell)

    def forward(self, x, hidden):
        """x with time first; hidden: (h, c) of each direction."""
        result, last = self.layer_fw(x, hidden[0])
        if not self.bidirectional:
            return result, [last]
        backward, last_backward = self.layer_bw(x.flip(0), hidden[1])
        return flambeau.cat([result, backward.flip(0)], 2), [last, last_backward]


class LSTM(nn.Module):
    """nn.LSTM whose steps can be observed; its arguments, but for projections.

    >>> import flambeau as torch
    >>> result, (h, c) = torch.ao.nn.quantizable.LSTM(3, 4, num_layers=2)(torch.ones(5, 2, 3))
    >>> result.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]))
    """

    _FLOAT_MODULE = nn.LSTM

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout, self.training = float(dropout), False
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout should be a number in range [0, 1], got {dropout}")
        if dropout > 0:
            warnings.warn(
                "dropout option for quantizable LSTM is ignored. If you are training, please, use "
                "nn.LSTM version followed by `prepare` step.",
                stacklevel=2,
            )
        directions = 2 if bidirectional else 1
        inputs = [input_size] + [hidden_size * directions] * (num_layers - 1)
        self.layers = nn.ModuleList(
            _LSTMLayer(*(LSTMCell(n, hidden_size, bias, device, dtype) for _ in range(directions)))
            for n in inputs
        )

    def forward(self, x, hidden=None):
        """What nn.LSTM gives: the last layer's results, and (h, c) of all layers."""
        if self.batch_first:
            x = x.transpose(0, 1)
        cells = [[None] * (2 if self.bidirectional else 1) for _ in self.layers]
        if hidden is not None:
            given = iter(zip(hidden[0].unbind(0), hidden[1].unbind(0), strict=True))
            cells = [[next(given) for _ in layer] for layer in cells]
        last = []
        for layer, own in zip(self.layers, cells, strict=True):
            x, states = layer(x, own)
            last += states
        h, c = (flambeau.stack(list(each), 0) for each in zip(*last, strict=True))
        return x.transpose(0, 1) if self.batch_first else x, (h, c)

    def _get_name(self):
        return "QuantizableLSTM"

    @classmethod
    def from_float(cls, other, qconfig=None):
        """Of an nn.LSTM with a qconfig, with observers."""
        from flambeau.ao.quantization import prepare, prepare_qat

        qconfig = qconfig or getattr(other, "qconfig", None)
        if qconfig is None:
            raise AssertionError("The float module must have 'qconfig'")
        if other.proj_size:
            raise NotImplementedError("LSTM: projections (proj_size) are not quantized")
        made = cls(
            other.input_size, other.hidden_size, other.num_layers, other.bias, other.batch_first,
            other.dropout, other.bidirectional,
        )  # fmt: skip
        directions = ("_fw", ""), ("_bw", "_reverse")
        for i, layer in enumerate(made.layers):
            for own, theirs in directions[: 2 if other.bidirectional else 1]:
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if other.bias else 2]
                params = [getattr(other, f"{name}_l{i}{theirs}") for name in names]
                getattr(layer, f"layer{own}").cell = LSTMCell.from_params(*params)
        made.qconfig = qconfig
        if other.training:
            return prepare_qat(made.train(), inplace=True)
        return prepare(made.eval(), inplace=True)

    @classmethod
    def from_observed(cls, other):
        """NotImplementedError: convert() makes a quantized.LSTM."""
        raise NotImplementedError(
            "Converting a QuantizableLSTM to itself makes no sense: it is converted to a "
            "quantized.LSTM"
        )

"""Operators of whole layers in TorchScript: recurrent networks and attention with its weights."""

import flambeau
from flambeau import _C, Tensor
from flambeau.nn import functional as F
from flambeau.nn.modules import rnn
from flambeau.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from . import _trace


class _Layers:
    """The run of RNNBase over weights in a list."""

    def __init__(self, mode, weights, biases, layers, dropout, train, bidirectional):
        self.mode, self.num_layers, self.bidirectional = mode, layers, bidirectional
        self.dropout, self.training = dropout, train
        count = layers * (2 if bidirectional else 1)
        step = len(weights) // count
        # (w_ih, w_hh[, b_ih, b_hh][, w_hr]) of each layer and direction
        projected = step == (5 if biases else 3)
        self._sets = []
        for i in range(count):
            part = list(weights[i * step : (i + 1) * step])
            last = [part.pop() if projected else None]
            self._sets.append(tuple(part + [None] * (4 - len(part)) + last))

    def _weights(self, index):
        return self._sets[index]

    run = rnn.RNNBase._run_layers


def _recurrent(mode):
    lstm = mode == "LSTM"

    def run(x, *args):
        if isinstance(args[1], Tensor) or (lstm and isinstance(args[0], Tensor)):
            sizes, states, weights, biases, *rest = args
            layers = _Layers(mode, weights, biases, *rest[:4])
            states = tuple(states) if lstm else (states,)
            outputs, end = layers.run(list(x.split(sizes.tolist())), states)
            outputs = flambeau.cat(outputs)
        else:
            states, weights, biases, *rest = args
            layers = _Layers(mode, weights, biases, *rest[:4])
            states = tuple(states) if lstm else (states,)
            first = len(rest) > 4 and rest[4]
            outputs, end = layers.run(x.transpose(0, 1) if first else x, states)
            if first:
                outputs = outputs.transpose(0, 1).contiguous()
        return (outputs, *end)

    return run


def _cell(mode):
    def run(x, state, w_ih, w_hh, b_ih=None, b_hh=None):
        states = tuple(state) if mode == "LSTM" else (state,)
        found = rnn._step(mode, F.linear(x, w_ih, b_ih), states, w_hh, b_hh, None)
        return found if mode == "LSTM" else found[0]

    return run


def _pack(x, lengths, batch_first):
    return tuple(pack_padded_sequence(x, lengths, batch_first))[:2]


def _pad(data, batch_sizes, batch_first, value, total_length):
    packed = PackedSequence(data, batch_sizes)
    return pad_packed_sequence(packed, batch_first, value, max(total_length, len(batch_sizes)))


def _attention(
    query, key, value, size, heads, w_in, b_in, w_out, b_out, mask=None, need_weights=True,
    average=True, mask_type=None,
):  # fmt: skip
    """`_native_multi_head_attention`: batch first; mask type 0 is of pairs, 1 of keys."""
    pairs = keys = None
    if mask is not None:
        pairs, keys = (None, mask) if mask_type == 1 else (mask, None)
    found, weights = F.multi_head_attention_forward(
        query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1), size, heads, w_in, b_in,
        None, None, False, 0.0, w_out, b_out, False, keys, need_weights, pairs,
        average_attn_weights=average,
    )  # fmt: skip
    return found.transpose(0, 1), weights


def _encoder_layer(
    x, size, heads, w_qkv, b_qkv, w_out, b_out, gelu, norm_first, eps, w_1, b_1, w_2, b_2, w_up,
    b_up, w_down, b_down, mask=None, mask_type=None,
):  # fmt: skip
    """`_transformer_encoder_layer_fwd`: attention and two linear layers, batch first."""

    def attend(x):
        return _attention(
            x, x, x, size, heads, w_qkv, b_qkv, w_out, b_out, mask, False, True, mask_type
        )[0]

    def widen(x):
        inner = F.linear(x, w_up, b_up)
        return F.linear(F.gelu(inner) if gelu else F.relu(inner), w_down, b_down)

    def norm(x, weight, bias):
        return F.layer_norm(x, (size,), weight, bias, eps)

    if norm_first:
        x = x + attend(norm(x, w_1, b_1))
        return x + widen(norm(x, w_2, b_2))
    x = norm(x + attend(x), w_1, b_1)
    return norm(x + widen(x), w_2, b_2)


def _one(name):
    """The run of a layer; a program that is recorded again has it as one operator again."""
    run = _recurrent(name.upper())

    def call(*args):
        trace = _trace.active()
        if trace is None:
            return run(*args)
        with _C.DisableTorchFunctionSubclass():
            found = run(*args)
        trace._bind(trace.emit(name, *args), found)
        return found

    return call


TABLE = {
    **{name: _one(name) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    "lstm_cell": _cell("LSTM"),
    "gru_cell": _cell("GRU"),
    "rnn_tanh_cell": _cell("RNN_TANH"),
    "rnn_relu_cell": _cell("RNN_RELU"),
    "_pack_padded_sequence": _pack,
    "_pad_packed_sequence": _pad,
    "_native_multi_head_attention": _attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
}

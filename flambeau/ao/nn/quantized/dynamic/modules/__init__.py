"""Modules with weights of integers that take and give floats."""

from .linear import Linear, LinearReLU
from .rnn import GRU, LSTM, GRUCell, LSTMCell, RNNCell

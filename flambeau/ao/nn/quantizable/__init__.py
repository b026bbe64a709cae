"""Layers of floats whose steps can each be observed and quantized: LSTM and attention.

`prepare` puts them in the place of nn.LSTM and nn.MultiheadAttention, `convert` makes
`quantized.LSTM` and `quantized.MultiheadAttention` of them.
"""

import flambeau.ao.nn.quantized  # first: its layers are made of the ones here

from .modules import *

"""Quantization of networks as graphs: the parts behind quantize_fx."""

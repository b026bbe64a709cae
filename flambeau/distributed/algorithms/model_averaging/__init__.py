"""Averages of models that are trained apart."""

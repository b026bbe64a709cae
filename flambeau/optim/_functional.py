"""The optimizers' steps as functions of tensors and their states."""

import flambeau as torch

from .adadelta import adadelta
from .adagrad import adagrad
from .adam import adam
from .adamax import adamax
from .adamw import adamw
from .asgd import asgd
from .nadam import nadam
from .radam import radam
from .rmsprop import rmsprop
from .rprop import rprop
from .sgd import sgd
from .sparse_adam import SparseAdam

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "asgd",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
    "sparse_adam",
]


def sparse_adam(
    params, grads, exp_avgs, exp_avg_sqs, state_steps, *, eps, beta1, beta2, lr, maximize
):
    """`SparseAdam`'s step as a function; `state_steps` are numbers that count this step already."""
    group = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "maximize": maximize}
    before = [torch.tensor(step - 1.0, dtype=torch.float64) for step in state_steps]
    states = {"exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs, "step": before}
    SparseAdam.step_on(group, params, grads, states)

"""What `compile` gives: the module or function itself behind PyTorch's names for a compiled one."""

import functools

from flambeau import nn

_OWN = frozenset(nn.Module().__dict__) - {"training"}


class OptimizedModule(nn.Module):
    """What `compile` makes of a module: `_orig_mod` is that module, and everything else is its.

    Hooks set on it are its own, and names in its state_dict begin with `_orig_mod.`.

    >>> import flambeau as torch
    >>> compiled = torch.compile(torch.nn.Linear(2, 1))
    >>> list(compiled.state_dict()), compiled.in_features
    (['_orig_mod.weight', '_orig_mod.bias'], 2)
    """

    def __init__(self, mod, call=None):
        super().__init__()
        del self.__dict__["training"]
        self._modules["_orig_mod"] = mod
        self.__dict__["_call"] = call

    def forward(self, *args, **kwargs):
        """Calls the module, or what a backend made of it."""
        call = self.__dict__["_call"] or self._modules["_orig_mod"]
        return call(*args, **kwargs)

    @property
    def training(self):
        """The module's mode."""
        return self._modules["_orig_mod"].training

    @training.setter
    def training(self, mode):
        if "_modules" in self.__dict__ and "_orig_mod" in self._modules:
            self._modules["_orig_mod"].training = mode

    def __getattr__(self, name):
        modules = self.__dict__.get("_modules", {})
        if name == "_orig_mod" and name in modules:
            return modules[name]
        if "_orig_mod" not in modules:
            raise AttributeError(f"'OptimizedModule' object has no attribute '{name}'")
        return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name, value):
        if name in _OWN or name == "training":
            object.__setattr__(self, name, value)
        elif name == "_orig_mod":
            self._modules[name] = value
        else:
            setattr(self._modules["_orig_mod"], name, value)

    def __delattr__(self, name):
        delattr(self._modules["_orig_mod"], name)

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(self._modules["_orig_mod"])})

    def __reduce__(self):
        return OptimizedModule, (self._modules["_orig_mod"],)

    def __len__(self):
        return len(self._modules["_orig_mod"])


def compiled(fn, call=None):
    """What `compile` makes of a function or module; `call` is what a backend made of it."""
    if isinstance(fn, OptimizedModule):
        return fn
    if isinstance(fn, nn.Module):
        return OptimizedModule(fn, call)
    call = call or fn

    @functools.wraps(fn)
    def run(*args, **kwargs):
        return call(*args, **kwargs)

    run._torchdynamo_orig_callable = fn
    return run


def is_dynamo_supported():
    """Whether programs can be compiled to machine code: no."""
    return False


is_inductor_supported = is_dynamo_supported

"""Dictionaries that do not keep their tensors alive; keys are compared by identity."""

import weakref
from collections.abc import Mapping, MutableMapping

__all__ = ["WeakIdKeyDictionary", "WeakIdRef", "WeakTensorKeyDictionary", "WeakTensorRefKey"]


class WeakIdRef(weakref.ref):
    """A weak reference that is equal to another of the same object."""

    def __init__(self, key, callback=None):
        super().__init__(key, callback)
        self._id = id(key)

    def __hash__(self):
        return self._id

    def __eq__(self, other):
        mine, theirs = self(), other()
        if mine is not None and theirs is not None:
            return mine is theirs
        return self is other


class WeakIdKeyDictionary(MutableMapping):
    """A mapping whose entries go when their keys do.

    >>> import flambeau as torch
    >>> from flambeau.utils.weak import WeakIdKeyDictionary
    >>> x = torch.ones(1)
    >>> notes = WeakIdKeyDictionary({x: 1})
    >>> del x
    >>> len(notes)
    0
    """

    def __init__(self, dict=None, ref_type=WeakIdRef):
        self.data = {}
        self._ref = ref_type
        entries = weakref.ref(self)

        def gone(reference):
            owner = entries()
            if owner is not None:
                owner.data.pop(reference, None)

        self._gone = gone
        self.update(dict or {})

    def __getitem__(self, key):
        return self.data[self._ref(key)]

    def __setitem__(self, key, value):
        self.data[self._ref(key, self._gone)] = value

    def __delitem__(self, key):
        del self.data[self._ref(key)]

    def __contains__(self, key):
        try:
            return self._ref(key) in self.data
        except TypeError:
            return False

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        for reference in list(self.data):
            key = reference()
            if key is not None:
                yield key

    def copy(self):
        """Another with the same entries."""
        return type(self)(self, self._ref)

    __copy__ = copy

    def __deepcopy__(self, memo):
        import copy

        made = type(self)({}, self._ref)
        for key, value in self.items():
            made[key] = copy.deepcopy(value, memo)
        return made

    def __or__(self, other):
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other):
        if not isinstance(other, Mapping):
            return NotImplemented
        made = type(self)(other, self._ref)
        made.update(self)
        return made

    def __ior__(self, other):
        self.update(other)
        return self

    def __repr__(self):
        return f"<{type(self).__name__} at {id(self):#x}>"


WeakTensorKeyDictionary = WeakIdKeyDictionary
WeakTensorRefKey = WeakIdRef

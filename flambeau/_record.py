"""An operator's record as the transforms see it."""

_PLAIN = (bool, int, float)


class Record:
    """One overload: its arguments, its kind, and the functions that run it.

    `arguments` has (name, type, keyword only, default or ...) of each; `pointwise`, `view`,
    `composite` (made of other operators), `factory` and `returns_list` are flags.
    """

    def __init__(
        self, name, text, arguments, pointwise, view, composite, factory, returns_list, function,
        inplace,
    ):  # fmt: skip
        self.name = name
        self.text = text
        self.arguments = arguments
        self.pointwise = pointwise
        self.view = view
        self.composite = composite
        self.factory = factory
        self.returns_list = returns_list
        self.function = function
        self.inplace = inplace
        self.position = {argument[0]: i for i, argument in enumerate(arguments)}
        self.tensors = [i for i, a in enumerate(arguments) if a[1] == "tensor"]
        self.lists = [i for i, a in enumerate(arguments) if a[1] == "tensors"]
        self.positional = sum(not a[2] for a in arguments)
        self.generator = next((i for i, a in enumerate(arguments) if a[1] == "generator"), None)

    def __repr__(self):
        return f"<operator {self.text}>"

    def call(self, args, inplace=False):
        """Runs the operator; args in the order of the schema."""
        n = self.positional
        named = {
            a[0]: x
            for a, x in zip(self.arguments[n:], args[n:], strict=True)
            if x is not None and not (type(x) in _PLAIN and x == a[3])
        }
        function = self.inplace if inplace and self.inplace is not None else self.function
        return function(*args[:n], **named)

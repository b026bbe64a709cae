"""Parameters cut over processes, made whole for the forward of their module."""

import flambeau
from flambeau import nn
from flambeau.autograd import Function

from .. import distributed_c10d as c10d


class ShardedParameter(nn.Parameter):
    """This process's part of a parameter: flat, as long in every process, zeros at the end."""

    def full_tensor(self):
        """The whole parameter, in every process."""
        return self.whole_of(self.to_local())

    def whole_of(self, part):
        """The whole of what is in parts as the parameter is: its gradient, an optimizer's state."""
        whole = part.new_empty(self._group.size() * part.numel())
        c10d.all_gather_into_tensor(whole, part, self._group)
        return whole[: self._shape.numel()].view(self._shape)

    def to_local(self):
        """The part here."""
        return super().detach()

    def detach(self):
        """The part without history, which still knows the whole."""
        made = super().detach().as_subclass(ShardedParameter)
        made._group, made._shape = self._group, self._shape
        return made

    def part_of(self, whole):
        """This process's part of a tensor of the whole parameter's shape."""
        return _part(whole.detach(), self._group)

    def take_whole(self, whole):
        """Keeps this process's part of new values."""
        with flambeau.no_grad():
            self.copy_(self.part_of(whole))


def whole(value):
    """A value, or the whole tensor if it is in parts; all processes must ask."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def _part(whole, group):
    size = -(-whole.numel() // group.size())
    flat = whole.reshape(-1)
    padded = flambeau.cat([flat, flat.new_zeros(size * group.size() - flat.numel())])
    return padded[size * group.rank() : size * (group.rank() + 1)].clone()


def _sharded(param, group):
    made = _part(param.detach(), group).as_subclass(ShardedParameter)
    made._group, made._shape = group, param.shape
    return made.requires_grad_(param.requires_grad)


class _Gather(Function):
    """[n] of every process -> [processes, n]; the gradient is the mean of this process's row."""

    @staticmethod
    def forward(ctx, part, group, param_dtype, reduce_dtype):
        ctx.group, ctx.dtype = group, part.dtype
        ctx.reduce_dtype = reduce_dtype
        part = part.to(param_dtype or part.dtype)
        whole = part.new_empty(group.size(), part.numel())
        c10d.all_gather_into_tensor(whole, part, group)
        return whole

    @staticmethod
    def backward(ctx, grad):
        grad = grad.to(ctx.reduce_dtype or grad.dtype).contiguous()
        mine = grad.new_empty(grad.size(1))
        c10d.reduce_scatter_tensor(mine, grad, c10d.ReduceOp.AVG, ctx.group)
        return mine.to(ctx.dtype), None, None, None


class Unit:
    """The parameters of a module that are gathered together: those of no unit inside of it."""

    def __init__(self, module, group, policy, ignored=()):
        self.module, self.group, self.policy = module, group, policy
        places = {}  # parameter -> where it stands
        for inner in module.modules():
            for name, param in inner._parameters.items():
                if param is None or isinstance(param, ShardedParameter) or param in ignored:
                    continue
                places.setdefault(param, []).append((inner, name))
        if places:
            values = [param.detach() for param in places]
            for value in values:
                c10d.broadcast(value, group=group, group_src=0)
        self.params = []
        for param, where in places.items():
            part = _sharded(param, group)
            self.params.append((part, where))
            for inner, name in where:
                inner._parameters[name] = part
        for inner in {inner for _, where in self.params for inner, _ in where}:
            inner.register_load_state_dict_pre_hook(self._take_parts)
        module.register_forward_pre_hook(self._before, prepend=True, with_kwargs=True)
        module.register_forward_hook(self._after, always_call=True)

    def whole(self):
        """All parameters of the unit, whole, as functions of their parts."""
        by_dtype = {}
        for part, where in self.params:
            by_dtype.setdefault((part.dtype, part.requires_grad), []).append((part, where))
        for members in by_dtype.values():
            flat = flambeau.cat([part.as_subclass(flambeau.Tensor) for part, _ in members])
            policy = self.policy
            rows = _Gather.apply(flat, self.group, policy.param_dtype, policy.reduce_dtype)
            columns = rows.split([part.numel() for part, _ in members], 1)
            for (part, where), column in zip(members, columns):
                yield where, column.reshape(-1)[: part._shape.numel()].view(part._shape)

    def _before(self, module, args, kwargs):
        for where, value in self.whole():
            for inner, name in where:
                inner._parameters[name] = value
        dtype = self.policy.param_dtype
        if dtype is not None and self.policy.cast_forward_inputs:
            args, kwargs = _cast((args, kwargs), dtype)
        return args, kwargs

    def _after(self, module, args, output):
        self.restore()
        if self.policy.output_dtype is not None:
            return _cast(output, self.policy.output_dtype)
        return None

    def _take_parts(self, module, state_dict, prefix, *rest):
        for part, where in self.params:
            for inner, name in where:
                value = state_dict.get(prefix + name) if inner is module else None
                if value is not None and value.shape == part._shape:
                    state_dict[prefix + name] = _part(value, self.group)

    def restore(self):
        """Puts the parts back."""
        for part, where in self.params:
            for inner, name in where:
                inner._parameters[name] = part


def _cast(values, dtype):
    from flambeau.utils._pytree import tree_map

    def cast(value):
        floats = isinstance(value, flambeau.Tensor) and value.is_floating_point()
        return value.to(dtype) if floats else value

    return tree_map(cast, values)


def units(module):
    """The units of a module and of those inside, outermost first."""
    return [each._fsdp_unit for each in module.modules() if hasattr(each, "_fsdp_unit")]

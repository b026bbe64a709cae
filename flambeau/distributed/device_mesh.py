"""Processes laid out in several dimensions, with a group for each line of them."""

import math
import threading

import flambeau

from . import distributed_c10d as c10d

__all__ = ["DeviceMesh", "init_device_mesh"]

_entered = threading.local()


class DeviceMesh:
    """The ranks of processes as an array; its dimensions may have names.

    >>> import flambeau.distributed as dist
    >>> dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    >>> mesh = dist.init_device_mesh("cpu", (1, 1), mesh_dim_names=("dp", "tp"))
    >>> mesh["tp"].size(), mesh.get_local_rank("dp")
    (1, 0)
    >>> dist.destroy_process_group()
    """

    def __init__(self, device_type, mesh, *, mesh_dim_names=None, _groups=None, _root=None):
        self.device_type = device_type
        self.mesh = flambeau.as_tensor(mesh, dtype=flambeau.int64)
        self.mesh_dim_names = tuple(mesh_dim_names) if mesh_dim_names else None
        self._root = _root
        if not c10d.is_initialized():
            c10d.init_process_group()
        at = (self.mesh == c10d.get_rank()).nonzero().tolist()
        self._coordinate = at[0] if at else None
        self._groups = self._make_groups() if _groups is None else _groups

    def _make_groups(self):
        if self.mesh.numel() == c10d.get_world_size() and self.mesh.dim() == 1:
            return [c10d._get_default_group()]
        groups = []
        for dim in range(self.mesh.dim()):
            lines = self.mesh.movedim(dim, -1).reshape(-1, self.mesh.size(dim)).tolist()
            groups.append(c10d.new_subgroups_by_enumeration(lines)[0])
        return groups

    @staticmethod
    def from_group(group, device_type, mesh=None, *, mesh_dim_names=None):
        """The mesh of a group, or of a list of groups with the array of their ranks."""
        if isinstance(group, (list, tuple)):
            return DeviceMesh(device_type, mesh, mesh_dim_names=mesh_dim_names, _groups=[*group])
        ranks = c10d.get_process_group_ranks(group)
        return DeviceMesh(device_type, ranks, mesh_dim_names=mesh_dim_names, _groups=[group])

    @property
    def shape(self):
        return tuple(self.mesh.shape)

    @property
    def ndim(self):
        return self.mesh.dim()

    def size(self, mesh_dim=None):
        return self.mesh.numel() if mesh_dim is None else self.mesh.size(self._dim(mesh_dim))

    def _dim(self, dim):
        if isinstance(dim, str):
            if dim not in (self.mesh_dim_names or ()):
                raise KeyError(f"Invalid mesh_dim_name {dim}: there are {self.mesh_dim_names}")
            return self.mesh_dim_names.index(dim)
        return dim

    def get_group(self, mesh_dim=None):
        """The group of the processes along a dimension through this one."""
        if mesh_dim is None:
            if self.ndim > 1:
                raise RuntimeError(
                    f"Found the DeviceMesh have {self.ndim} dimensions; Optional kwarg `mesh_dim` "
                    "needs to be specified when device_mesh.ndim > 1."
                )
            mesh_dim = 0
        return self._groups[self._dim(mesh_dim)]

    def get_all_groups(self):
        return list(self._groups)

    def get_rank(self):
        return c10d.get_rank()

    def get_local_rank(self, mesh_dim=None):
        """This process's place along a dimension."""
        return self.get_group(mesh_dim).rank()

    def get_coordinate(self):
        """This process's place in the array, None if it is not in it."""
        return self._coordinate

    def __getitem__(self, names):
        """The part of the mesh along some dimensions through this process, by their names."""
        names = (names,) if isinstance(names, str) else tuple(names)
        dims = [self._dim(name) for name in names]
        if self._coordinate is None:
            raise RuntimeError("this process is not in the mesh")
        index = tuple(
            slice(None) if dim in dims else self._coordinate[dim] for dim in range(self.ndim)
        )
        part = self.mesh[index]
        kept = sorted(dims)
        if kept != dims:
            part = part.permute([kept.index(dim) for dim in dims])
        return DeviceMesh(
            self.device_type,
            part,
            mesh_dim_names=names,
            _groups=[self._groups[dim] for dim in dims],
            _root=self._root or self,
        )

    def _flatten(self, mesh_dim_name=None):
        """All dimensions as one."""
        name = mesh_dim_name or "_".join(self.mesh_dim_names)
        root = self._root or self
        return DeviceMesh(
            self.device_type, self.mesh.reshape(-1), mesh_dim_names=(name,),
            _groups=[_flat_group(root, self)], _root=root,
        )  # fmt: skip

    def __enter__(self):
        if not hasattr(_entered, "meshes"):
            _entered.meshes = []
        _entered.meshes.append(self)
        return self

    def __exit__(self, *error):
        _entered.meshes.pop()

    def __eq__(self, other):
        return self is other or (
            isinstance(other, DeviceMesh)
            and self.device_type == other.device_type
            and self.shape == other.shape
            and self.mesh_dim_names == other.mesh_dim_names
            and flambeau.equal(self.mesh, other.mesh)
        )

    def __hash__(self):
        return hash((self.device_type, self.shape, tuple(self.mesh.reshape(-1).tolist())))

    def __repr__(self):
        if self.mesh_dim_names:
            sizes = ", ".join(f"{n}={s}" for n, s in zip(self.mesh_dim_names, self.shape))
            return f"DeviceMesh(({sizes}), '{self.device_type}')"
        return f"DeviceMesh('{self.device_type}', {self.mesh.tolist()})"

    def __deepcopy__(self, memo):
        return self


def _flat_group(root, mesh):
    """A group of all of a part's processes, which every process of the whole makes for its part."""
    if mesh.ndim == 1:
        return mesh.get_group()
    ranks = mesh.mesh.reshape(-1).tolist()
    if len(ranks) == c10d.get_world_size():
        return c10d._get_default_group()
    return c10d.new_group(ranks, use_local_synchronization=True)


def init_device_mesh(device_type, mesh_shape, *, mesh_dim_names=None, backend_override=None):
    """The mesh of all processes in the given shape, rank 0 first.

    Makes the default process group if there is none.
    """
    if mesh_dim_names is not None:
        if len(set(mesh_dim_names)) != len(mesh_dim_names):
            raise RuntimeError("Each mesh_dim_name must be unique.")
        if len(mesh_dim_names) != len(mesh_shape):
            raise RuntimeError("mesh_shape and mesh_dim_names should have same length!")
    if not c10d.is_initialized():
        c10d.init_process_group()
    size = math.prod(mesh_shape)
    if size > c10d.get_world_size():
        raise RuntimeError(
            f"Mesh should not be bigger than default world size {c10d.get_world_size()}, but found "
            f"{size} ranks!"
        )
    ranks = flambeau.arange(size).view(tuple(mesh_shape))
    return DeviceMesh(device_type, ranks, mesh_dim_names=mesh_dim_names)

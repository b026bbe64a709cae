"""The groups of processes: joining them, making more, asking for ranks and sizes."""

import datetime
import os
import warnings

import flambeau

from . import _wire
from ._group import ProcessGroup, RedOpType
from ._mesh import Mesh
from ._store import PrefixStore, TCPStore, seconds_of
from .constants import default_pg_timeout
from .rendezvous import rendezvous

_world = {"group": None, "mesh": None, "groups": {}, "made": 0, "store": None}


class Backend(str):
    """The name of a backend: "gloo" is the one here."""

    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl"
    backend_list = ["undefined", "gloo", "nccl", "xccl", "ucc", "mpi"]
    default_device_backend_map = {"cpu": GLOO, "cuda": NCCL, "xpu": XCCL, "mps": GLOO}

    def __new__(cls, name):
        if not isinstance(name, str):
            raise ValueError("Backend constructor parameter must be string-ish")
        return str.__new__(cls, name.lower())


class _Groups(type):
    @property
    def WORLD(cls):
        return _world["group"]

    @WORLD.setter
    def WORLD(cls, group):
        _world["group"] = group


class group(metaclass=_Groups):
    """`group.WORLD` is the group of all processes."""


class GroupMember(metaclass=_Groups):
    """`GroupMember.NON_GROUP_MEMBER` is what new_group() gives to processes outside."""

    NON_GROUP_MEMBER = -100


def _backend_of(name):
    """The backend for CPU tensors in a backend string such as "cpu:gloo,cuda:nccl"."""
    if name is None:
        return "gloo"
    chosen = dict(part.split(":") for part in name.lower().split(",")) if ":" in name else {}
    name = chosen.get("cpu", next(iter(chosen.values()))) if chosen else name.lower()
    if name in ("gloo", "undefined", ""):
        return "gloo"
    if name in ("nccl", "mpi", "ucc", "xccl"):
        raise RuntimeError(f"Distributed package doesn't have {name.upper()} built in")
    raise ValueError(f"Invalid backend: '{name}'")


def is_backend_available(backend):
    """Whether this build has a backend: "gloo"."""
    return backend.lower() == "gloo"


def is_gloo_available():
    """Whether the backend "gloo" is there: it is."""
    return True


def is_mpi_available():
    """Whether MPI is there: no."""
    return False


def is_nccl_available():
    """Whether NCCL is there: no."""
    return False


def is_ucc_available():
    """Whether UCC is there: no."""
    return False


def is_xccl_available():
    """Whether XCCL is there: no."""
    return False


def is_initialized():
    """Whether init_process_group() was called."""
    return _world["group"] is not None


def is_torchelastic_launched():
    """Whether a launcher such as flambeau.distributed.run started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def init_process_group(
    backend=None,
    init_method=None,
    timeout=None,
    world_size=-1,
    rank=-1,
    store=None,
    group_name="",
    pg_options=None,
    device_id=None,
):
    """Joins the group of all processes; every one of them must call it.

    They meet by `init_method`: "env://" (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT of the
    environment, the default), "tcp://host:port" or "file:///path" with rank and world_size; or
    by a store. Tensors then travel over TCP between all pairs of processes.

    >>> import flambeau.distributed as dist
    >>> dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    >>> dist.get_rank(), dist.get_world_size()
    (0, 1)
    >>> dist.destroy_process_group()
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    backend = _backend_of(backend)
    timeout = default_pg_timeout if timeout is None else timeout
    if not isinstance(timeout, datetime.timedelta):
        raise TypeError(
            f"Expected timeout argument to be of type datetime.timedelta, got {timeout}"
        )
    if store is not None and init_method is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    address = "127.0.0.1"
    if store is None:
        store, rank, world_size = rendezvous(init_method or "env://", rank, world_size, timeout)
    elif world_size <= 0 or rank < 0:
        raise AssertionError("rank and world_size must be given with a store")
    if isinstance(store, TCPStore):
        address = _wire.own_address(store.host)
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not below the world size {world_size}")
    store.set_timeout(timeout)
    inner = PrefixStore("default_pg", store)
    mesh = Mesh(inner, rank, world_size, seconds_of(timeout), address)
    made = ProcessGroup(mesh, range(world_size), "0", timeout, backend, "default_pg")
    _world.update(group=made, mesh=mesh, groups={"0": made}, made=1, store=inner)


def destroy_process_group(group=None):
    """Closes a group; without one, or with the default one, all of them."""
    if group == GroupMember.NON_GROUP_MEMBER:
        return
    _default()
    if group is None or group is _world["group"]:
        for made in _world["groups"].values():
            made.close()
        _world["mesh"].close()
        _world.update(group=None, mesh=None, groups={}, made=0, store=None)
    else:
        group.close()
        if _world["groups"].pop(group.group_name, None) is None:
            raise ValueError("Invalid process group specified")


def _default():
    if _world["group"] is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    return _world["group"]


_get_default_group = _default


def _get_default_store():
    _default()
    return _world["store"]


def _member(group, name):
    """The group of a call; None with a warning where this process is not in it."""
    default = _default()
    if group is None:
        return default
    if group == GroupMember.NON_GROUP_MEMBER:
        warnings.warn(
            f"Running {name} on global rank {default.rank()} which does not belong to the given "
            "group.",
            stacklevel=3,
        )
        return None
    return group


def _rank_not_in_group(group):
    return group is not None and group == GroupMember.NON_GROUP_MEMBER


def get_rank(group=None):
    """This process's rank in the group, -1 if it is not in it.

    >>> import flambeau.distributed as dist
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> dist.get_rank()
    0
    >>> dist.destroy_process_group()
    """
    default = _default()
    if _rank_not_in_group(group):
        return -1
    return (default if group is None else group).rank()


def get_world_size(group=None):
    """How many processes are in the group, -1 if this one is not."""
    default = _default()
    if _rank_not_in_group(group):
        return -1
    return (default if group is None else group).size()


def get_node_local_rank(fallback_rank=None):
    """This process's number on its machine, which launchers put into LOCAL_RANK."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError("LOCAL_RANK is not in the environment. Consider passing fallback_rank.")


def get_backend(group=None):
    """The name of a group's backend."""
    default = _default()
    return Backend((default if group is None else group).backend)


def get_backend_config(group=None):
    """The backend of each device type, as text."""
    return f"cpu:{get_backend(group)}"


def get_default_backend_for_device(device):
    """The name of the backend that PyTorch takes for a device type."""
    return {"cpu": "gloo", "cuda": "nccl", "xpu": "xccl"}[flambeau.device(device).type]


def get_process_group_ranks(group):
    """The ranks in the world of the processes of a group."""
    return list((_default() if group is None else group).ranks)


def get_pg_count():
    """How many groups have been made."""
    return _world["made"]


def get_global_rank(group, group_rank):
    """The rank in the world of a rank in a group."""
    group = _default() if group is None else group
    if not 0 <= group_rank < group.size():
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return group.ranks[group_rank]


def get_group_rank(group, global_rank):
    """The rank in a group of a rank in the world."""
    group = _default() if group is None else group
    if global_rank not in group.ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return group.ranks.index(global_rank)


def supports_complex(reduceOp):
    """Whether a reduction goes with complex numbers."""
    return reduceOp not in (
        RedOpType.MAX, RedOpType.MIN, RedOpType.PRODUCT, RedOpType.BAND, RedOpType.BOR,
        RedOpType.BXOR,
    )  # fmt: skip


def _peer(group, in_world, in_group, name):
    """The rank in a group, from the one given in the world or in the group."""
    if in_group is not None:
        if in_world is not None:
            raise ValueError(f"Can't specify both {name} and group_{name}")
        return in_group
    if in_world is None:
        raise ValueError(f"Must specify {name} or group_{name}")
    return get_group_rank(group, in_world)


# -- groups ----------------------------------------------------------------------------------------


def new_group(
    ranks=None,
    timeout=None,
    backend=None,
    pg_options=None,
    use_local_synchronization=False,
    group_desc=None,
    device_id=None,
    sort_ranks=True,
):
    """A group of some of the processes, for the collectives' `group`.

    All processes call it, in the same order, also those that will not be in the group; with
    `use_local_synchronization` only those that will.
    """
    default = _default()
    ranks = list(range(default.size())) if ranks is None else list(ranks)
    ranks = sorted(ranks) if sort_ranks else ranks
    if len(set(ranks)) != len(ranks) or not all(0 <= rank < default.size() for rank in ranks):
        raise ValueError(
            f"the new group's ranks {ranks} are not different ranks of a world of {default.size()}"
        )
    if use_local_synchronization:
        name = f"{ranks}:{sum(1 for made in _world['groups'] if made.startswith(str(ranks)))}"
    else:
        name = str(_world["made"])
    _world["made"] += 1
    if default.rank() not in ranks:
        return GroupMember.NON_GROUP_MEMBER
    timeout = default.timeout if timeout is None else timeout
    made = ProcessGroup(
        default._mesh, ranks, name, timeout, _backend_of(backend or default.backend), group_desc
    )
    _world["groups"][name] = made
    return made


def split_group(
    parent_pg=None, split_ranks=None, timeout=None, pg_options=None, group_desc=None, backend=None
):
    """The one of several groups, given as lists of ranks in the parent, that this process is in."""
    parent = _default() if parent_pg is None else parent_pg
    if not split_ranks:
        raise ValueError("split_ranks cannot be None or empty")
    own = None
    for ranks in split_ranks:
        ranks = [parent.ranks[rank] for rank in ranks]
        made = (
            new_group(ranks, timeout, backend, pg_options, True, group_desc)
            if (_default().rank() in ranks)
            else None
        )
        own = own or made
    return own


def new_subgroups(
    group_size=None, group=None, timeout=None, backend=None, pg_options=None, group_desc=None
):
    """(own group, all groups) of consecutive `group_size` processes."""
    size = get_world_size(group)
    if group_size is None:
        group_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    if group_size <= 0 or size < group_size or size % group_size:
        raise ValueError(f"group_size {group_size} does not divide the world size {size}")
    ranks = get_process_group_ranks(group)
    lists = [ranks[at : at + group_size] for at in range(0, size, group_size)]
    return new_subgroups_by_enumeration(lists, timeout, backend, pg_options, group_desc)


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list, timeout=None, backend=None, pg_options=None, group_desc=None
):
    """(own group, all groups) of lists of ranks."""
    if not ranks_per_subgroup_list:
        raise ValueError("The arg 'ranks_per_subgroup_list' cannot be empty")
    own, groups = None, []
    for ranks in ranks_per_subgroup_list:
        made = new_group(ranks, timeout, backend, pg_options, group_desc=group_desc)
        groups.append(made)
        if get_rank() in ranks:
            own = made
    return own, groups

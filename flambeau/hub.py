"""Models and weights from GitHub repositories, folders and addresses, kept in a cache folder.

A repository names its models in `hubconf.py`: functions, and `dependencies`, a list of modules
that must be installed. Loading a model runs that file.
"""

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
import zipfile
from urllib.parse import urlparse

import flambeau
from flambeau import _download

__all__ = """download_url_to_file get_dir help list load load_state_dict_from_url
set_dir""".split()

_chosen_dir = None
HASH_REGEX = re.compile(r"-([a-f0-9]{8,})\.")
_TRUSTED_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")


def _get_torch_home():
    cache = os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.expanduser(os.getenv("TORCH_HOME", cache))


def get_dir():
    """The cache folder: set_dir()'s, else $TORCH_HOME/hub, else ~/.cache/torch/hub.

    Folder and names are PyTorch's, so what was downloaded for one serves the other.
    """
    if _chosen_dir is not None:
        return _chosen_dir
    return os.path.join(_get_torch_home(), "hub")


def set_dir(d):
    """Chooses the cache folder.

    >>> import flambeau as torch
    >>> before = torch.hub.get_dir()
    >>> torch.hub.set_dir("models")
    >>> torch.hub.get_dir()
    'models'
    >>> torch.hub.set_dir(before)
    """
    global _chosen_dir
    _chosen_dir = os.path.expanduser(d)


# -- downloads -------------------------------------------------------------------------------------
def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Downloads to the path dst, which appears only once it is whole.

    hash_prefix: the first digits of the SHA-256 that the bytes must have, else RuntimeError; with
    it a transfer that broke off goes on where it stopped. Raises urllib's URLError without a
    network.
    """
    _download.fetch([url], os.path.expanduser(dst), sha256=hash_prefix, progress=progress)


def load_state_dict_from_url(
    url,
    model_dir=None,
    map_location=None,
    progress=True,
    check_hash=False,
    file_name=None,
    weights_only=True,
):
    """The checkpoint at an address, from the cache folder (hub/checkpoints) if it is there.

    check_hash: the file's name must end in -<first digits of its SHA-256>.<extension>.
    """
    model_dir = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(model_dir, name)
    if not os.path.exists(path):
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        match = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, match and match.group(1), progress=progress)
    if _is_zipped_legacy(path):
        warnings.warn("Falling back to the old format < 1.6: a zip of one checkpoint", stacklevel=2)
        return _load_zipped(path, model_dir, map_location, weights_only)
    return flambeau.load(path, map_location=map_location, weights_only=weights_only)


def _is_zipped_legacy(path):
    """Whether the file is a zip of one checkpoint, and not a checkpoint, which is a zip too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return len(names) == 1 and not names[0].endswith("/data.pkl")


def _load_zipped(path, model_dir, map_location, weights_only):
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.infolist()
        if os.path.basename(member.filename) != member.filename:
            raise RuntimeError(f"{path}: its one member {member.filename!r} is not a plain name")
        archive.extract(member, model_dir)
        extracted = os.path.join(model_dir, member.filename)
    return flambeau.load(extracted, map_location=map_location, weights_only=weights_only)


# -- repositories ----------------------------------------------------------------------------------
def _parse(github):
    """owner, name and ref of "owner/name[:ref]"."""
    repo, _, ref = github.partition(":")
    owner, slash, name = repo.partition("/")
    if not slash or "/" in name or not re.fullmatch(r"[\w.-]+", owner + name):
        raise ValueError(f"a repository is owner/name[:ref], not {github!r}")
    if ref and (".." in ref or not re.fullmatch(r"[\w./-]+", ref)):
        raise ValueError(f"{ref!r} is no branch, tag or commit")
    return owner, name, ref


def _fetch_repository(github, force_reload, trust_repo, verbose):
    """The folder of a repository in the cache; downloaded unless it is there."""
    owner, name, ref = _parse(github)
    home = get_dir()
    os.makedirs(home, exist_ok=True)
    refs = [ref] if ref else ["main", "master"]
    if not force_reload:
        for candidate in refs:
            folder = os.path.join(home, "_".join([owner, name, candidate.replace("/", "_")]))
            if os.path.isdir(folder):
                if verbose:
                    sys.stderr.write(f"Using cache found in {folder}\n")
                return folder
    _check_trust(owner, name, trust_repo, home)
    from urllib.error import HTTPError

    for i, candidate in enumerate(refs):
        folder = os.path.join(home, "_".join([owner, name, candidate.replace("/", "_")]))
        url = f"https://github.com/{owner}/{name}/zipball/{candidate}"
        archive = folder + ".zip"
        try:
            if verbose:
                sys.stderr.write(f'Downloading: "{url}" to {archive}\n')
            download_url_to_file(url, archive, progress=False)
        except HTTPError as error:
            if error.code == 404 and i + 1 < len(refs):
                continue
            raise
        _unpack(archive, folder)
        return folder
    raise AssertionError("unreachable")


def _unpack(archive, folder):
    """Extracts a repository's zip, whose files lie in one folder, as `folder`."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as work:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():  # extractall drops "..", but nothing here needs it
                if os.path.isabs(member) or ".." in member.split("/"):
                    raise RuntimeError(f"{archive}: {member!r} leads out of the archive")
            packed.extractall(work)
        (top,) = os.listdir(work)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(os.path.join(work, top), folder)
    os.remove(archive)


def _check_trust(owner, name, trust_repo, home):
    """Asks, warns or refuses before code of a repository first runs; remembers a yes."""
    if trust_repo not in (True, False, None, "check"):
        raise ValueError("trust_repo is True, False, None or 'check'")
    repo, path = f"{owner}_{name}", os.path.join(home, "trusted_list")
    trusted = open(path).read().split() if os.path.exists(path) else []
    known = repo in trusted or owner in _TRUSTED_OWNERS
    if trust_repo is None and not known:
        warnings.warn(
            f"You are about to run code of {owner}/{name}, which is not in the trusted list; pass "
            "trust_repo=True, or 'check' to be asked",
            stacklevel=4,
        )
    if trust_repo is False or (trust_repo == "check" and not known):
        answer = input(
            f"{owner}/{name} is not in the list of trusted repositories. Loading a model runs its "
            "code. Do you trust this repository and wish to add it to the list (y/N)? "
        )
        if answer.lower() not in ("y", "yes"):
            raise Exception("Untrusted repository.")
    if trust_repo is not None and repo not in trusted:
        with open(path, "a") as file:
            file.write(repo + "\n")


def _hubconf(repo_or_dir, source, force_reload, trust_repo, verbose):
    """The module hubconf.py of a repository or folder, and that folder."""
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        folder = _fetch_repository(repo_or_dir, force_reload, trust_repo, verbose)
    else:
        folder = os.path.expanduser(repo_or_dir)
    path = os.path.join(folder, "hubconf.py")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("hubconf", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    wanted = getattr(module, "dependencies", ())
    missing = [name for name in wanted if not _installed(name)]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return module, folder


def _installed(name):
    if name in ("torch", "torchvision", "flambeau"):
        return True
    return importlib.util.find_spec(name) is not None


def _entry(module, model):
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    function = getattr(module, model, None)
    if not callable(function):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return function


def list(github, force_reload=False, skip_validation=False, trust_repo="check", verbose=True):
    """The names of the models that a repository offers: the public functions of its hubconf."""
    module, _ = _hubconf(github, "github", force_reload, trust_repo, verbose)
    return [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]


def help(github, model, force_reload=False, skip_validation=False, trust_repo="check"):
    """The docstring of a model's function."""
    module, _ = _hubconf(github, "github", force_reload, trust_repo, True)
    return _entry(module, model).__doc__


def load(
    repo_or_dir,
    model,
    *args,
    source="github",
    trust_repo="check",
    force_reload=False,
    verbose=True,
    skip_validation=False,
    **kwargs,
):
    """What the function `model` of a hubconf.py returns for these arguments.

    repo_or_dir: "owner/name[:ref]" on GitHub, or with source="local" a folder. Whether GitHub has
    the ref shows when it is downloaded, so `skip_validation` has nothing to skip.
    """
    source = source.lower()
    module, folder = _hubconf(repo_or_dir, source, force_reload, trust_repo, verbose)
    sys.path.insert(0, folder)
    try:
        return _entry(module, model)(*args, **kwargs)
    finally:
        sys.path.remove(folder)


class _Faketqdm:
    """What tqdm does for a loop over items, where tqdm is not installed: no bar."""

    def __init__(self, iterable=None, total=None, disable=False, **kwargs):
        self.iterable, self.total, self.disable, self.n = iterable, total, disable, 0

    def __iter__(self):
        for item in self.iterable:
            yield item
            self.n += 1

    def update(self, n=1):
        self.n += n

    def set_description(self, *args, **kwargs):
        pass

    def write(self, text):
        print(text, file=sys.stderr)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def __getattr__(name):
    if name == "tqdm":
        try:
            from tqdm import tqdm
        except ImportError:
            tqdm = _Faketqdm
        return tqdm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Fetching, checking and unpacking the files of datasets."""

import hashlib
import os

from flambeau import _download

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_file_from_google_drive",
    "download_url",
    "extract_archive",
    "list_dir",
    "list_files",
    "verify_str_arg",
]


def calculate_md5(fpath, chunk_size=1024 * 1024):
    """The MD5 of a file, in hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(fpath, md5, **kwargs):
    """Whether a file has this MD5."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath, md5=None):
    """Whether the file is there and, where a sum is given, has it."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(url, root, filename=None, md5=None, max_redirect_hops=3):
    """Fetches a file into a folder, unless it is there with the right sum.

    A transfer that broke off goes on where it stopped, if the server can do that.
    """
    root = os.path.expanduser(root)
    path = os.path.join(root, filename or os.path.basename(url))
    if check_integrity(path, md5):
        return
    os.makedirs(root, exist_ok=True)
    _download.fetch([url], path, md5)


def download_file_from_google_drive(file_id, root, filename=None, md5=None):
    """`download_url` of a file on Google Drive, by its id."""
    url = f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"
    download_url(url, root, filename or file_id, md5)


def extract_archive(from_path, to_path=None, remove_finished=False):
    """Unpacks a tar, zip or compressed file; nothing is written outside the folder."""
    import bz2
    import gzip
    import lzma
    import shutil
    import tarfile
    import zipfile

    from_path = os.fspath(from_path)
    to_path = os.fspath(to_path or os.path.dirname(from_path))
    stem, suffix = os.path.splitext(os.path.basename(from_path))
    single = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if zipfile.is_zipfile(from_path) and suffix not in single:
        with zipfile.ZipFile(from_path) as archive:
            archive.extractall(to_path)  # it drops drives and .. by itself
    elif suffix in (".tar", ".tgz", ".tbz", ".tbz2") or stem.endswith(".tar"):
        with tarfile.open(from_path) as archive:
            archive.extractall(to_path, filter="data")
    elif suffix in single:
        to_path = os.path.join(to_path, stem)
        with single[suffix](from_path, "rb") as packed, open(to_path, "wb") as file:
            shutil.copyfileobj(packed, file)
    else:
        raise RuntimeError(f"Unknown compression or archive type: '{suffix}' of {from_path}")
    if remove_finished:
        os.remove(from_path)
    return to_path


def download_and_extract_archive(
    url, download_root, extract_root=None, filename=None, md5=None, remove_finished=False
):
    """`download_url`, then `extract_archive`."""
    download_root = os.path.expanduser(download_root)
    filename = filename or os.path.basename(url)
    download_url(url, download_root, filename, md5)
    archive = os.path.join(download_root, filename)
    extract_archive(archive, extract_root or download_root, remove_finished)


def verify_str_arg(value, arg=None, valid_values=None, custom_msg=None):
    """The value, if it is a string among the valid ones."""
    name = "argument" if arg is None else f"argument {arg}"
    if not isinstance(value, str):
        raise ValueError(f"Expected type str for {name}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        valid = "{" + ", ".join(f"'{v}'" for v in valid_values) + "}"
        raise ValueError(
            custom_msg or f"Unknown value '{value}' for {name}. Valid values are {valid}."
        )
    return value


def list_dir(root, prefix=False):
    """The folders in a folder."""
    root = os.path.expanduser(root)
    names = sorted(n for n in os.listdir(root) if os.path.isdir(os.path.join(root, n)))
    return [os.path.join(root, n) for n in names] if prefix else names


def list_files(root, suffix, prefix=False):
    """The files in a folder whose names end so."""
    root = os.path.expanduser(root)
    names = sorted(n for n in os.listdir(root) if n.endswith(suffix))
    return [os.path.join(root, n) for n in names] if prefix else names


def not_found():
    return RuntimeError("Dataset not found or corrupted. You can use download=True to download it")

"""Files that only this user may see, and how they are checked and written."""

import os
import stat
from pathlib import Path

from trio_copy.errors import ConfigError

_OTHERS, _OTHERS_WRITE = 0o077, 0o022
_LARGEST = 1 << 16


def trouble_of_folder(folder: Path) -> str | None:
    """Say why a folder is not private enough; None where it is. Raises `OSError` where it cannot be looked at."""
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        return f"expected {folder} to be a folder"
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & _OTHERS_WRITE:
        return f"expected {folder} to be of this user, and others not to write to it; chmod 700 {folder}"
    if status.st_mode & stat.S_IROTH:
        return f"expected others not to read {folder}; chmod 700 {folder}"
    return None


def trouble_of_file(path: Path) -> str | None:
    """Say why a file is not private enough; None where it is. Follows no link."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
            return f"expected {path} to be a regular file of this user with mode 0600; chmod 600 {path}"
        if status.st_size > _LARGEST:
            return f"expected at most {_LARGEST} bytes in {path}, got {status.st_size}"
        return trouble_of_folder(path.parent)
    except OSError as error:
        return f"expected a file {path}, got: {error.strerror}"


def trouble_of_secret(path: Path) -> str | None:
    """Say the same of a file with a secret, which moreover does not belong where files are committed."""
    trouble = trouble_of_file(path)
    if trouble is not None:
        return trouble
    for above in path.resolve().parents:
        if (above / ".git").exists():
            return f"expected {path} to be in no git work tree, which is {above}: what is committed is published"
    return None


def make_private_folder(folder: Path) -> None:
    """Make a folder that only this user may look into, where there is none. Raises `ConfigError` where that cannot be."""
    try:
        for one in (*reversed(folder.parents), folder):
            if not one.exists():
                one.mkdir(mode=0o700, exist_ok=True)  # above it too, or they would be for everybody to read
        trouble = trouble_of_folder(folder)
    except OSError as error:
        trouble = f"expected a folder {folder}, got: {error.strerror}"
    if trouble is not None:
        raise ConfigError([trouble])


def write_private_file(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a file with mode 0600, whole or not at all, and durable when this returns.

    Raises:
        FileExistsError: there is one, and it is not to be replaced.
        OSError: it cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            os.link(new, path)  # unlike a renaming, it never takes the place of a file that came in between
        sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder be durable. Raises `OSError`."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

"""Locks between processes, also of other machines that share the folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mer_pipeline.cache.atomic import cannot_write, private_folder

_ASK_EVERY_S = 0.2
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock while the block runs; the system frees it when the process ends, also by SIGKILL.

    On a file system that has no locks nothing is held: what they guard may then be done twice, and is written whole.
    The file is removed at the end: who waited for it finds that out, and takes a new one.

    Yields:
        Whether it is held; False only where another process holds it and `wait` is False.

    Raises:
        WriteError: The file cannot be created.
    """
    import filelock  # what holds no lock need not wait for it

    private_folder(path.parent)
    lock = filelock.FileLock(path, mode=0o600, fallback_to_soft=False)  # a soft one outlives a machine that dies
    try:
        lock.acquire(blocking=wait, poll_interval=_ASK_EVERY_S)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise cannot_write(path, error) from None
    try:
        yield True
    finally:
        with suppress(OSError):  # a system that keeps open files leaves it there
            path.unlink()
        lock.release()

"""Tasks on a Ray cluster: one that there is, or one of this machine that listens on loopback alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from tempfile import mkdtemp
from typing import Any

import psutil

from mer_pipeline.engines.engine import Engine, R, T, Work
from mer_pipeline.engines.local import cores
from mer_pipeline.errors import MerError
from mer_pipeline.reading import Checked

_RETRIES = 3  # of a task whose process was killed or whose machine went away; it goes on where it was last kept
_STORE_BYTES = 80 << 20  # Ray's least: names and paths alone go through it
# Read by Ray when it is imported. The first stops reports to its makers. The second is how it keeps to loopback on
# other systems; here it keeps a cluster of one machine from listening on every interface.
_PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True)
class RayOptions(Checked):
    """Which cluster, and what a task takes of it.

    Attributes:
        address: Of a cluster that there is, `HOST:PORT` or `auto`; empty to start one on this machine.
        cpus: Cores of a task; a fold is trained by one thread.
        gpus: GPUs of a task, also a part of one: with 0.25, four folds share a GPU.
    """

    address: str = ""
    cpus: float = 1.0
    gpus: float = 0.0


class Ray(Engine):
    """Tasks of Ray.

    Args:
        jobs: How many processes on this machine, or how many tasks at a time in a cluster; as many as there is room for
            where not given.
        options: Which cluster.

    Raises:
        MerError: The extra `ray` is not installed.
    """

    name = "ray"
    options_type = RayOptions
    start_s = 20.0
    requires = ("ray", "ray")

    options: RayOptions

    def workers(self, tasks: int) -> int:
        """See `Engine.workers`; what a cluster has room for is known to the cluster alone."""
        return min(self.jobs or (tasks if self.options.address else cores()), tasks)

    def outcomes(self, work: Work[T, R], tasks: Sequence[T]) -> Generator[tuple[int, R | MerError], None, None]:
        """See `Engine.outcomes`.

        Raises:
            MerError: The cluster cannot be reached or started, or processes were ended from outside again and again.
        """
        os.environ.update(_PRIVATE if not self.options.address else {"RAY_USAGE_STATS_ENABLED": "0"})
        import ray

        folder = self._connect(ray)
        do = ray.remote(num_cpus=self.options.cpus, num_gpus=self.options.gpus, max_retries=_RETRIES)(_attempt)
        waiting: dict[Any, int] = {}
        remaining = iter(enumerate(tasks))
        try:
            for _ in tasks:
                while len(waiting) < (self.jobs or len(tasks)) and (following := next(remaining, None)) is not None:
                    waiting[do.remote(work, following[1])] = following[0]
                (first,), _rest = ray.wait(list(waiting), num_returns=1)
                yield waiting.pop(first), ray.get(first)
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError):
            raise MerError(
                f"a process of Ray was ended {_RETRIES + 1} times from outside, perhaps for want of memory",
                fix="run the same command with fewer --jobs; it goes on from here",
            ) from None
        finally:
            for task in waiting:
                ray.cancel(task, force=True)
            ray.shutdown()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _connect(self, ray: Any) -> str | None:
        """Join the cluster, or start one; the folder of one that was started."""
        quiet = {"log_to_driver": False, "configure_logging": False}
        if self.options.address:
            try:
                ray.init(address=self.options.address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                text = " ".join(str(error).split())
                fix = "see ray status on that machine"
                raise MerError(f"no Ray cluster answers ({text})", where=self.options.address, fix=fix) from None
            return None
        folder = mkdtemp(prefix="mer-ray-")  # a short path: Ray makes sockets in it
        ray.init(
            num_cpus=self.jobs or cores(), include_dashboard=False, object_store_memory=_STORE_BYTES,
            _temp_dir=folder, **quiet,
        )  # fmt: skip
        if public := public_ports():
            ray.shutdown()
            raise MerError(f"this version of Ray listens on {', '.join(public)}", fix="pip install --upgrade ray")
        return folder


def public_ports() -> list[str]:
    """Where processes that this one started listen for other machines, as `address:port`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            connections = getattr(process, "net_connections", None) or process.connections  # before psutil 6
            for each in connections(kind="inet"):
                address = ip_address(each.laddr.ip)
                address = getattr(address, "ipv4_mapped", None) or address
                if each.status == psutil.CONN_LISTEN and not address.is_loopback:
                    found.append(f"{each.laddr.ip}:{each.laddr.port}")
        except psutil.Error:  # it has ended
            continue
    return found


def _attempt(work: Work[T, R], task: T) -> R | MerError:
    return work.attempt(task)

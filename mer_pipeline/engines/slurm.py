"""A job array on a Slurm cluster, by submitit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Generic

from mer_pipeline.engines.engine import Engine, R, T, Work
from mer_pipeline.engines.local import cores
from mer_pipeline.errors import MerError
from mer_pipeline.reading import Checked, Count, Option

_ASK_EVERY_S = {"slurm": 5.0, "local": 0.2}
_MOST_PARTS = 1000  # MaxArraySize of Slurm, unless a site has changed it
# What submitit has one name for on every cluster; its others begin with the name of the cluster.
_OF_EVERY_CLUSTER = ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "name", "stderr_to_stdout")


@dataclass(frozen=True)
class SlurmOptions(Checked):
    """What the jobs are given; named as Hydra's submitit launcher names it.

    Attributes:
        cluster: `slurm`; `local` runs the same job array as processes of this machine, to try it.
        timeout_min: Limit of a job; one that reaches it goes on in another, `max_num_timeout` times.
        cpus_per_task: Cores; a fold is trained by one thread.
        gpus_per_node, mem_gb, partition, account, qos, constraint, exclude, gres, comment: As for `sbatch`.
        array_parallelism: How many jobs of the array may run at the same time.
        max_num_timeout: How often a job may reach its limit; being pre-empted does not count.
        signal_delay_s: How long before its end a job is warned.
        name, stderr_to_stdout: Of the jobs, and of their logs.
    """

    cluster: str = "slurm"
    timeout_min: Count = 240
    cpus_per_task: Count = 1
    gpus_per_node: Count | None = None
    mem_gb: float | None = 8.0
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    comment: str | None = None
    array_parallelism: Count = 256
    max_num_timeout: Count = 10
    signal_delay_s: Count = 120
    name: str = "mer"
    stderr_to_stdout: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster not in _ASK_EVERY_S:
            raise ValueError(f"cluster is {self.cluster!r}, and not slurm or local")

    def parameters(self) -> dict[str, Option]:
        """As submitit takes them."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        own = {name: given.pop(name) for name in _OF_EVERY_CLUSTER if name in given}
        del given["cluster"], given["max_num_timeout"]
        return {**own, **{f"slurm_{name}": value for name, value in given.items()}}


@dataclass(frozen=True)
class _Share(Generic[T, R]):
    """The tasks of one job; those that are done are quick when it begins again."""

    work: Work[T, R]
    tasks: Sequence[T]

    def __call__(self) -> list[R | MerError]:
        """Outcomes up to the first error."""
        found: list[R | MerError] = []
        for task in self.tasks:
            found.append(self.work.attempt(task))
            if isinstance(found[-1], MerError):
                break
        return found

    def checkpoint(self) -> Any:
        """Called in a job that is pre-empted or reaches its limit: the same again, in the queue."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class Slurm(Engine):
    """Parts of a job array, each with its share of the tasks, on machines that see the same folders.

    The array's logs, and what submitit writes to start it (pickled names and paths), lie in a private folder beside the
    results, which is removed when all went well.

    Args:
        jobs: How many parts; one a task, and at most 1000, where not given.
        options: What the jobs are given.

    Raises:
        MerError: The extra `cluster` is not installed.
    """

    name = "slurm"
    options_type = SlurmOptions
    start_s = 60.0  # without waiting in the queue
    requires = ("submitit", "cluster")

    options: SlurmOptions

    def lacks(self) -> str:
        """See `Engine.lacks`."""
        return "" if self.options.cluster == "local" or shutil.which("sbatch") else "no sbatch on this machine"

    def workers(self, tasks: int) -> int:
        """See `Engine.workers`."""
        return min(self._parts(tasks), self.options.array_parallelism)

    def _parts(self, tasks: int) -> int:
        usual = _MOST_PARTS if self.options.cluster == "slurm" else cores()
        return min(tasks, self.jobs or usual)

    def outcomes(self, work: Work[T, R], tasks: Sequence[T]) -> Generator[tuple[int, R | MerError], None, None]:
        """See `Engine.outcomes`; a job's come together, at its end.

        Raises:
            MerError: The cluster refuses the jobs, or one of them ended without a result.
        """
        parts = self._parts(len(tasks))
        folder = Path(mkdtemp(prefix="jobs-", dir=work.folder))
        shares = [_Share(work, tasks[part::parts]) for part in range(parts)]
        running = dict(enumerate(self._submit(folder, shares)))
        try:
            while running:
                ended = [part for part, job in running.items() if job.done()]
                for part in ended:
                    found = _result(running.pop(part))
                    yield from ((part + parts * at, outcome) for at, outcome in enumerate(found))
                if running and not ended:
                    time.sleep(_ASK_EVERY_S[self.options.cluster])
        finally:
            for job in running.values():
                job.cancel(check=False)
        shutil.rmtree(folder, ignore_errors=True)

    def _submit(self, folder: Path, shares: Sequence[_Share[T, R]]) -> list[Any]:
        import submitit

        times = {f"{self.options.cluster}_max_num_timeout": self.options.max_num_timeout}
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.options.cluster, **times)
            executor.update_parameters(**self.options.parameters())
            return list(executor.submit_array(shares))
        except (RuntimeError, submitit.core.utils.FailedSubmissionError) as error:
            lines = " ".join(str(error).split())
            fix = "see sinfo, and --engine-option partition=NAME and account=NAME"
            raise MerError(f"the cluster takes no jobs ({lines})", where="slurm", fix=fix) from None


def _result(job: Any) -> list[Any]:
    import submitit

    try:
        return list(job.result())
    except submitit.core.utils.UncompletedJobError:
        fix = f"see {job.paths.stdout}; the same command goes on from here"
        raise MerError(f"job {job.job_id} ended without a result ({job.state})", fix=fix) from None

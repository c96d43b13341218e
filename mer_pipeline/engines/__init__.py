"""What shares work out among processes: of this machine, of a Slurm cluster, of a Ray cluster."""

from mer_pipeline.engines.engine import Engine, Work
from mer_pipeline.engines.local import Local, cores
from mer_pipeline.engines.registry import ENGINES, engine_of
from mer_pipeline.engines.schedule import EngineTime, fastest, makespan_s, times_of

__all__ = [
    "ENGINES",
    "Engine",
    "EngineTime",
    "Local",
    "Work",
    "cores",
    "engine_of",
    "fastest",
    "makespan_s",
    "times_of",
]

"""What shares work out among processes: of this machine, of a Slurm cluster, of a Ray cluster."""

from mer_pipeline.engines.engine import Engine, Work
from mer_pipeline.engines.local import Local, cores

__all__ = ["Engine", "Local", "Work", "cores"]

"""What shares work out among processes: of this machine, of a Slurm cluster, of a Ray cluster."""

from mer_pipeline.engines.engine import Engine, Work
from mer_pipeline.engines.local import Local, cores
from mer_pipeline.engines.registry import ENGINES, engine_of

__all__ = ["ENGINES", "Engine", "Local", "Work", "cores", "engine_of"]

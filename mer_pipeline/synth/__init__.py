"""Synthetic datasets and videos whose truth is known."""

from mer_pipeline.synth.dataset import synthesise
from mer_pipeline.synth.layouts.registry import LAYOUTS
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.truth import PlantedClip, truth_table

__all__ = ["LAYOUTS", "Options", "PlantedClip", "synthesise", "truth_table"]

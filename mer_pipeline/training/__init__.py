"""Training: recipes, the training loop, whole runs, ablations."""

from mer_pipeline.evaluation.compare import compare
from mer_pipeline.inputs.clip_set import ClipSet, load_clips, shuffle_labels
from mer_pipeline.recipe import Recipe, load_recipe, model_names, parse_settings
from mer_pipeline.runs.results import OPTIMISTIC
from mer_pipeline.training.ablate import ablate, chosen_variants, read_table
from mer_pipeline.training.estimate import estimate, long_training
from mer_pipeline.training.session import Plan
from mer_pipeline.training.train import train, train_fold

__all__ = [
    "OPTIMISTIC",
    "ClipSet",
    "Plan",
    "Recipe",
    "ablate",
    "chosen_variants",
    "compare",
    "estimate",
    "load_clips",
    "load_recipe",
    "long_training",
    "model_names",
    "parse_settings",
    "read_table",
    "shuffle_labels",
    "train",
    "train_fold",
]

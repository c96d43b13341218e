"""A clip without any annotation -> onset, apex, offset, Action Units, emotion."""

from mer_pipeline.inference.predictor import Predictor, Sight
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified, write_csv

__all__ = ["ClipResult", "Expression", "Predictor", "Sight", "Unclassified", "write_csv"]

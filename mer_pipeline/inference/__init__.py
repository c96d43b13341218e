"""A clip without any annotation -> onset, apex, offset, Action Units, emotion."""

from mer_pipeline.inference.predictor import ExpressionImages, Predictor
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified, write_csv

__all__ = ["ClipResult", "Expression", "ExpressionImages", "Predictor", "Unclassified", "write_csv"]

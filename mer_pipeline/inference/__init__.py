"""A clip without any annotation -> onset, apex, offset, Action Units, emotion."""

from mer_pipeline.inference.pictures import Pictures
from mer_pipeline.inference.predict import Predictor, Sight
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified, write_csv

__all__ = ["ClipResult", "Expression", "Pictures", "Predictor", "Sight", "Unclassified", "write_csv"]

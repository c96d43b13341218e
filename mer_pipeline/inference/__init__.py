"""A clip without any annotation -> onset, apex, offset, Action Units, emotion."""

from mer_pipeline.inference.predict import ClipResult, Expression, Predictor

__all__ = ["ClipResult", "Expression", "Predictor"]

"""Pages for readers: the report of a run or an ablation, and the contact sheet of a clip."""

from mer_pipeline.figures.clip_sheet import write_contact_sheet
from mer_pipeline.reports.page import write_report

__all__ = ["write_contact_sheet", "write_report"]

"""What people look at: pictures of what the stages and the networks did, and the page of a run."""

from mer_pipeline.figures.clip_sheet import write_contact_sheet
from mer_pipeline.reports.page import write_report

__all__ = ["write_contact_sheet", "write_report"]

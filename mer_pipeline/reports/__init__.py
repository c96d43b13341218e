"""What people look at: pictures of what the stages and the networks did."""

from mer_pipeline.reports.contact_sheet import write_contact_sheet

__all__ = ["write_contact_sheet"]

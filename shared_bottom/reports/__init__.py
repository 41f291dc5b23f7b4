"""What a person opens after a training run: a report with plots, its figures as lines of JSON, TensorBoard's files."""

from shared_bottom.reports.events import check_events, write_events
from shared_bottom.reports.report import write_report

__all__ = ["check_events", "write_events", "write_report"]

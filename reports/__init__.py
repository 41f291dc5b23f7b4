"""What a person opens after a training run: a report with plots, its figures as lines of JSON, TensorBoard's files."""

from reports.events import check_events, write_events
from reports.report import write_report

__all__ = ["check_events", "write_events", "write_report"]

"""What a person looks at after a training run: a report with plots, lines of JSON, a TensorBoard file."""

from shared_bottom.reports.events import check_events, write_events
from shared_bottom.reports.report import write_report

__all__ = ["check_events", "write_events", "write_report"]

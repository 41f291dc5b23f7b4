"""The parameters that a run starts from when an earlier run's are taken over."""

from shared_bottom.start.taking import Part, Start, take_over

__all__ = ["Part", "Start", "take_over"]

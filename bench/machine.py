"""How much memory a piece of work needs."""

import contextlib
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the peak of the process's resident memory since this object was created. Linux only."""

    def __init__(self) -> None:
        self._known = False
        with contextlib.suppress(OSError):  # /proc is missing or not writable: then the peak is unknown
            CLEAR.write_text("5")  # resets the peak to the memory that is resident now: see proc(5)
            self._known = True
        self.before = self.bytes()
        """What was resident when this object was created, in bytes; None if the system does not report it."""

    def bytes(self) -> int | None:
        """The peak in bytes; None if the system does not report it."""
        lines = STATUS.read_text(encoding="utf-8").splitlines() if self._known else []
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
        return peaks[0] if peaks else None

"""How much memory a piece of work took."""

import contextlib
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The most memory that the process had resident since this was made; Linux only."""

    def __init__(self) -> None:
        self._known = False
        with contextlib.suppress(OSError):  # no /proc, or not ours to write: then nobody knows
            CLEAR.write_text("5")  # sets the peak to what is resident now: proc(5)
            self._known = True

    def bytes(self) -> int | None:
        """None where the system does not tell."""
        lines = STATUS.read_text(encoding="utf-8").splitlines() if self._known else []
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
        return peaks[0] if peaks else None

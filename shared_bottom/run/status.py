"""What status.json says of a run, for whoever looks into its folder."""

import os
import socket
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from shared_bottom.run.watcher import STATUS


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Status:
    """What status.json says, as far as it is shown."""

    state: str | None = None
    reason: str | None = None
    backend: str | None = None
    process: int | None = None
    host: str | None = None

    def now(self) -> str | None:
        """The state; killed, if it should be running on this machine and its process is gone."""
        if self.state != "running" or self.process is None or self.host != socket.gethostname():
            return self.state
        try:
            os.kill(self.process, 0)  # sends nothing
        except ProcessLookupError:
            return "killed"
        except PermissionError:  # another user's
            pass
        return self.state


def status_of(folder: Path) -> Status:
    """What status.json says of the run in a folder; nothing if there is none, or it is damaged."""
    try:
        return TypeAdapter(Status).validate_json((folder / STATUS).read_bytes())
    except (OSError, ValueError):  # it is no result, and nothing depends on it
        return Status()

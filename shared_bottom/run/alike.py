"""That all processes of a run are at the same: compared at its beginning and at every epoch's end."""

from collections.abc import Callable, Mapping

from shared_bottom.run.errors import ProcessError
from shared_bottom.run.processes import Processes

SHOWN = 5
"""Differences that an error names at most: where one array is another, soon all are."""


def check_alike(processes: Processes, facts: Callable[[], Mapping[str, object]], when: str, code: int = 1) -> None:
    """Raises ProcessError, which names each fact that is not the same in all processes, and in which it is otherwise.

    facts: what makes them, by name; asked only if there are several processes. when: for the message.
    code: the exit code of a command that this ends.
    """
    if processes.size == 1:
        return
    first, *others = processes.gather(dict(facts()))
    differ = [
        f"{name}: {first.get(name, 'nothing')} in process 0, {other.get(name, 'nothing')} in process {rank}"
        for rank, other in enumerate(others, start=1)
        for name in dict.fromkeys([*first, *other])
        if first.get(name, "nothing") != other.get(name, "nothing")
    ]
    if differ:
        more = [f"and {len(differ) - SHOWN} more"] if len(differ) > SHOWN else []
        raise ProcessError(f"expected the same in all processes {when}, got {'; '.join(differ[:SHOWN] + more)}", code)

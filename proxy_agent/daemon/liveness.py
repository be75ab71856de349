"""A process that hangs is as bad as one that is gone, and nobody restarts it: so it ends itself."""

import faulthandler

LONGEST_LOOK = 600.0
"""Seconds that one look at the world may take.

Every step of it has a time limit of its own, and the first look at ten thousand certificates takes some ten seconds.
Whoever is ended too early loses nothing: what was done is done, and the next process goes on from there.
"""


def end_unless_called_again(within: float) -> None:
    """Have this process end with exit code 1 unless this is called again *within* so many seconds.

    It says on standard error where each of its threads stood. Works wherever it hangs, in a lock or in the kernel's
    hands, as the thread that watches needs no Python (library reference, faulthandler.dump_traceback_later).
    """
    faulthandler.dump_traceback_later(within, exit=True)

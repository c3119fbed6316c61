"""A shell that outlives us: what it began it also ends, however we are gone, by Ctrl-C, kill -9 or a time-out."""

from __future__ import annotations

import os
import subprocess
import tempfile


class Undertaker:
    """Runs a shell script whose `read` waits for our end; what comes before it begins something, the rest ends it."""

    def __init__(self, script: str) -> None:
        # Files, not pipes to us: those would break with us, and what writes into them would break as well.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this is)
        self._process = subprocess.Popen(
            ["sh", "-c", f"trap '' PIPE; {script}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is meant for us
        )

    def hear(self) -> str:
        """The next line that the script prints; empty when it has ended."""
        assert self._process.stdout
        return self._process.stdout.readline().decode().strip()

    def said(self) -> str:
        """What it and its programs complained about."""
        file = self._said.fileno()
        # Without moving in it: the place belongs to the programs that write too.
        return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")

    def end(self) -> None:
        """Let it go on to its end."""
        # A line, not only its end, which comes late where a process that was forked from us has the pipe too.
        self._process.communicate(b"\n", timeout=300)
        assert self._process.returncode == 0, self.said()
        self._said.close()

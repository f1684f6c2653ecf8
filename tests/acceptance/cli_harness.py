"""What the tests of the command line share: a configuration in a directory of its own, and a way to call commands."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from edgequeue.cli import cli

ROOT = Path(__file__).resolve().parents[2]
CLOSED = "http://127.0.0.1:9"
"""Nobody listens there: as good as offline."""


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    """An event that Adobe Edge takes, with an _id of its own."""
    return {"xdm": {"_id": f"sale-{number}", "identityMap": {"Till": [{"id": "till-7", "primary": True}]}, **more}}


def edge(name: str = "web", endpoint: str = CLOSED, **more: Any) -> str:
    """A table of the configuration."""
    return _table(name, {"type": "adobe-edge", "endpoint": endpoint, "datastream_id": "d", **more})


def dccs(name: str, endpoint: str, **more: Any) -> str:
    """The same for streaming ingestion; the endpoint is an inlet's."""
    keys = {"type": "adobe-dccs", "endpoint": endpoint, "dataset_id": "d", "schema_id": "https://ns.example/s", **more}
    return _table(name, keys)


def _table(name: str, keys: dict[str, Any]) -> str:
    return "\n".join([f"[destinations.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())])


def screen(shown: str, columns: int = 80) -> list[str]:
    """The rows of a terminal after a text: printing, line ends, cursor up, and erasing a line."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]|\x1b", shown):
        if part == "\n":
            row += 1
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            if part.endswith("K"):
                rows[row] = ""
            elif part.endswith("A"):
                row = max(row - int(part[2:-1] or 1), 0)
        else:
            if column == columns:
                row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row].ljust(column)[:column] + part + rows[row][column + 1 :]
            column += 1
        rows += [""] * (row + 1 - len(rows))
    return rows


@dataclass
class Cli:
    """The command line with a configuration in `directory`."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "edgequeue.toml"

    @property
    def database(self) -> Path:
        return self.directory / "queue.db"

    def configure(self, *tables: str, database: str = "queue.db") -> Cli:
        text = "\n\n".join([f'[queue]\ndatabase = "{database}"', *(tables or (edge(),))])
        self.config.write_text(text + "\n", encoding="utf-8")
        self.config.chmod(0o600)
        return self

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Call a command in this process."""
        return CliRunner().invoke(cli, ["--config", str(self.config), *arguments], input=stdin, prog_name="edgequeue")

    def json(self, *arguments: str) -> Any:
        """The one document that a command writes."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def lines(self, *arguments: str) -> list[Any]:
        """The JSON Lines that a command writes."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    def enqueue(self, *events: dict[str, Any], options: tuple[str, ...] = ()) -> list[str]:
        """Store events; their ids."""
        result = self("enqueue", *options, stdin="".join(json.dumps(one) + "\n" for one in events))
        assert result.exit_code == 0, result.stderr
        return result.stdout.split()

    def terminal(self, *arguments: str, until: Callable[[], bool] | None = None, columns: int = 80) -> tuple[int, str]:
        """Call a command in a terminal of 80 columns; its exit code, and all that it wrote there.

        Where `until` is given, Ctrl-C is typed as soon as that is so.
        """
        child, mine = pty.fork()
        if child == 0:
            os.environ.update({"COLUMNS": str(columns), "TERM": "xterm"})
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "edgequeue", "--config", str(self.config), *arguments])
        fcntl.ioctl(mine, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        shown = bytearray()
        with suppress(OSError):  # the terminal's way of saying that nobody writes to it any more
            while True:
                if select.select([mine], [], [], 0.05)[0]:
                    chunk = os.read(mine, 65_536)
                    if not chunk:
                        break
                    shown += chunk
                if until is not None and until():
                    os.write(mine, b"\x03")
                    until = None
        _, status = os.waitpid(child, 0)
        os.close(mine)
        return os.waitstatus_to_exitcode(status), shown.decode()

    def process(
        self,
        *arguments: str,
        encoding: str | None = None,
        stdin: int | None = None,
        stderr: int = subprocess.PIPE,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "edgequeue", "--config", str(self.config), *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding=encoding,
        )

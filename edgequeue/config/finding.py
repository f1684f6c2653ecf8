"""Where the configuration is looked for.

The first of: `--config`, `$EDGEQUEUE_CONFIG`, `./edgequeue.toml`, the user's configuration directory,
`/etc/edgequeue/edgequeue.toml`. A file that was asked for by name is never replaced by another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgequeue.errors import ConfigError

FILE_NAME = "edgequeue.toml"
SYSTEM_FILE = Path("/etc/edgequeue") / FILE_NAME
VARIABLE = "EDGEQUEUE_CONFIG"


def find_config(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """The absolute path of the configuration; ConfigError lists the places when there is none."""
    if explicit is not None:
        return _named(explicit, "--config")
    if environ.get(VARIABLE):
        return _named(Path(environ[VARIABLE]), f"${VARIABLE}")
    looked = ["--config (not given)", f"${VARIABLE} (not set)"]
    for place in _places(environ):
        try:
            if place.is_file():
                return place
            looked.append(str(place))
        except PermissionError:
            looked.append(f"{place} (no permission to look)")
    raise ConfigError(f"no configuration found; looked at: {', '.join(looked)}. To write one, run edgequeue init.")


def _named(path: Path, origin: str) -> Path:
    """The file that was asked for by name."""
    try:
        found = path.expanduser().absolute()
        exists = found.exists()
    except (RuntimeError, OSError) as error:  # no such home, no permission
        raise ConfigError(f"{path} ({origin}) cannot be reached: {error}. Check the path.") from error
    if not exists:
        raise ConfigError(f"{found} ({origin}) does not exist. Check the path, or run edgequeue init to write one.")
    return found


def _places(environ: Mapping[str, str]) -> list[Path]:
    """The usual places, best first. A service may have no home."""
    places = [Path(FILE_NAME).absolute()]
    user = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not user.is_absolute() and environ.get("HOME"):  # the XDG specification: a relative value is to be ignored
        user = Path(environ["HOME"]) / ".config"
    if user.is_absolute():
        places.append(user / "edgequeue" / FILE_NAME)
    return [*places, SYSTEM_FILE]

"""One TOML table, checked against the dataclass that it is to become.

The dataclass's fields are the known keys, and their annotations the types, so that a setting is declared in one
place. A field of type Secret is written as `X`, `X_env` or `X_file`. Values are named by their kind and never
quoted: a misplaced one may be a secret.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edgequeue.auth import Credentials, Secret
from edgequeue.config.wording import kind_of, nearest
from edgequeue.errors import ConfigError

_WANTED: Mapping[Any, str] = {
    str: "a text in quotes",
    int: "a whole number without quotes",
    float: "a number without quotes",
    bool: "true or false without quotes",
    Path: "a path in quotes",
    datetime: "a moment without quotes, as in 2026-11-21T10:45:00Z",
    Credentials: "the name of an [auth.*] table in quotes",
    tuple[str, ...]: 'a list of texts, as in ["openid", "AdobeID"]',
}


@dataclass(frozen=True)
class Table:
    """The `values` of one table; `name` is its full name, as in "destinations.web" ("" for the file as a whole).

    `accounts` are what an `auth` key may name. `literals` gathers the full keys of secrets that stand in the file
    itself.
    """

    file: Path
    name: str
    values: Mapping[str, Any]
    accounts: Mapping[str, Credentials] = field(default_factory=dict)
    literals: list[str] = field(default_factory=list)

    def fault(self, text: str) -> ConfigError:
        """The error that names the file and the table; `text` begins with the key."""
        return ConfigError(f"{self.file}: [{self.name}] {text}" if self.name else f"{self.file}: {text}")

    def child(self, key: str) -> Table:
        """The table under a key; an empty one when there is none."""
        name = f"{self.name}.{key}" if self.name else key
        values = self.values.get(key, {})
        if not isinstance(values, dict):
            raise self.fault(f"{key} is {kind_of(values)}; write a table, [{name}], with its keys below it")
        return Table(self.file, name, values, self.accounts, self.literals)

    def children(self) -> dict[str, Table]:
        """All tables under this one, in the order of the file."""
        return {key: self.child(key) for key in self.values}

    def read(self, settings: type[Any], *, also: Iterable[str] = (), given: Iterable[str] = ()) -> dict[str, Any]:
        """The keyword arguments for a dataclass; keys that are not in the table are left to its defaults.

        `also` are known keys that are read elsewhere, and `given` fields that come from elsewhere.
        """
        wanted = [each for each in fields(settings) if each.init and each.name not in set(given)]
        kinds = {name: _kind(hint) for name, hint in get_type_hints(settings).items()}
        self.check_keys(also, (key for each in wanted for key in _keys(each.name, kinds[each.name])))
        found: dict[str, Any] = {}
        for each in wanted:
            kind = kinds[each.name]
            if kind is Secret:
                secret = self._secret(each.name)
                if secret is not None:
                    found[each.name] = secret
            elif each.name in self.values:
                found[each.name] = self._value(each.name, kind)
            if each.name not in found and _required(each):
                raise self.fault(f"{' or '.join(_keys(each.name, kind))} is missing; add it")
        return found

    def check_keys(self, *known: Iterable[str]) -> None:
        """ConfigError for the first key that is not known, with the nearest that is."""
        names = [name for group in known for name in group]
        for key in self.values:
            if key not in names:
                what = "key" if self.name else "table"
                raise self.fault(f"{key} is no known {what}{nearest(key, names)}")

    def text(self, key: str, kind: Any = str) -> str:
        """A text that must not be empty; `kind` is what an error says is wanted."""
        value = self.values[key]
        if not isinstance(value, str):
            raise self._mismatch(key, kind)
        if not value.strip():
            raise self.fault(f"{key} is empty; give it a value or remove the line")
        return value

    def path(self, key: str) -> Path:
        """A path; `~` is the home directory, and a relative one is taken from the file's own directory."""
        try:
            return self.file.absolute().parent / Path(self.text(key, Path)).expanduser()
        except RuntimeError as error:
            raise self.fault(f"{key} names a home directory that is not known; write the path in full") from error

    def _secret(self, key: str) -> Secret | None:
        """A secret or where it is to be found. It is not read here: who only looks needs none."""
        written = [each for each in _keys(key, Secret) if each in self.values]
        if len(written) > 1:
            raise self.fault(f"{' and '.join(written)} are both given; keep one of them")
        if not written:
            return None
        match written[0].removeprefix(key):
            case "_env":
                try:
                    return Secret(env=self.text(written[0]))
                except ConfigError as error:
                    raise self.fault(f"{written[0]}: {error}") from error
            case "_file":
                return Secret(path=self.path(written[0]))
        self.literals.append(f"[{self.name}] {key}")
        return Secret(value=self.text(key).strip())

    def _value(self, key: str, kind: Any) -> Any:
        value = self.values[key]
        if kind is Path:
            return self.path(key)
        if kind is Credentials:
            return self._account(key)
        if kind == tuple[str, ...]:
            return self._texts(key)
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                choices = " or ".join(f'"{choice}"' for choice in get_args(kind))
                raise self.fault(f"{key} is {kind_of(value)} that is not known here; write {choices}")
            return value
        # bool is an int to Python, and to nobody else
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if kind is not float and type(value) is kind:
            return value
        raise self._mismatch(key, kind)

    def _texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text stands for a list of one."""
        value = self.values[key]
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._mismatch(key, tuple[str, ...])
        return tuple(texts)

    def _account(self, key: str) -> Credentials:
        name = self.text(key, Credentials)
        if name not in self.accounts:
            remedy = nearest(name, self.accounts) if self.accounts else f"; add a table [auth.{name}]"
            raise self.fault(f'{key} = "{name}" names no [auth.*] table{remedy}')
        return self.accounts[name]

    def _mismatch(self, key: str, kind: Any) -> ConfigError:
        return self.fault(f"{key} is {kind_of(self.values[key])}; write {_WANTED[kind]}")


def _kind(hint: Any) -> Any:
    """The type of a setting, without its `| None`; a Secret may be given as text in Python, and is one here."""
    options = [each for each in get_args(hint) if each is not NoneType]
    if Secret in options:
        return Secret
    return options[0] if NoneType in get_args(hint) and len(options) == 1 else hint


def _keys(name: str, kind: Any) -> tuple[str, ...]:
    """The keys that a field may be written as."""
    return (name, f"{name}_env", f"{name}_file") if kind is Secret else (name,)


def _required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING

"""The configuration: `edgequeue.toml` and the environment, read into frozen settings.

    find_config(explicit, environ) -> Path     where the file is
    load_settings(path) -> Settings            file and environment
    parse_settings(text, path) -> Settings     the text alone

Reading a configuration resolves no secret and touches no network. Every mistake is a ConfigError that names the
file, the table, the key and the remedy. `tables` checks any table against a dataclass; `settings` says what
edgequeue's tables are; `finding` where the file lies; `wording` how an error says it.
"""

from edgequeue.config.finding import find_config
from edgequeue.config.settings import QueueSettings, Settings, load_settings, parse_settings

__all__ = ["QueueSettings", "Settings", "find_config", "load_settings", "parse_settings"]

"""The commented sample of a configuration file, generated from the settings so that it cannot grow old."""

from dataclasses import Field, fields
from typing import Any

from ccbridged.model.config import SECTIONS, InstanceConfig
from ccbridged.model.kinds import Mode, quoted


def sample() -> str:
    """The commented sample file: every setting with its help and default, and an instance commented out."""
    lines = [
        "# ccbridged reads this file at start and on SIGHUP. Durations are in seconds; what is left out",
        "# is as here.",
    ]
    for name, shape in SECTIONS.items():
        lines += ["", f"# {shape.__doc__}", f"[{name}]"]
        for item in fields(shape):
            lines += [f"# {item.metadata['help']}", f"{item.name} = {_toml(item)}"]
    lines += ["", f"# {InstanceConfig.__doc__}", "# [instances.web]"]
    for item in fields(InstanceConfig):
        lines += [f"# # {item.metadata['help']}", f"# {item.name} = {_toml(item)}"]
    return "\n".join(lines) + "\n"


def _toml(item: Field[Any]) -> str:
    """The default of a setting as TOML has it; the one without a plain default is a table."""
    match item.default:
        case bool() as flag:
            return str(flag).lower()
        case int() | float() as number:
            return f"0o{number:o}" if isinstance(item.metadata["kind"], Mode) else f"{number:g}"
        case str() as text:
            return quoted(text)
        case tuple() as words:
            return "[" + ", ".join(map(quoted, words)) + "]"
        case _:
            return "{}"

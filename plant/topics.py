"""Topics of MQTT and the filters that match them. Pure."""

from __future__ import annotations


def covers(wide: str, narrow: str) -> bool:
    """Whether everything that ``narrow`` (a topic, or a filter itself) matches is matched by the filter ``wide`` too."""
    levels, other = wide.split("/"), narrow.split("/")
    if narrow.startswith("$") and levels[0] in ("+", "#"):
        return False  # what a broker publishes about itself is asked for by name
    for at, level in enumerate(levels):
        if level == "#":
            return True
        if at == len(other) or other[at] == "#" or (level != "+" and level != other[at]):
            return False
    return len(levels) == len(other)

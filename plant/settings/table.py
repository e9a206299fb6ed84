"""What every table of settings is: frozen, and strict about its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from plant.site_text import SiteFile

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class SettingsTable(BaseModel):
    """A table of the site file: a key it does not know is a fault. Lists are tuples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:  # noqa: ARG002  (tables that name others override it)
        """Key, what was found and what is allowed of what does not fit the rest of the file."""
        yield from ()

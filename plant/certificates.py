"""What a ledger entry of kind ``certificate`` has to say in its ``data`` to be counted for the certificate ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class Certificate(BaseModel):
    """A batch of green certificates. Only cancelled ones count, for the quota year that they were cancelled for; further
    fields (numbers, counterparties) are kept as they come."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["self_use", "green_trade", "bought"]
    status: Literal["valid", "cancelled", "sold", "expired"]
    quota_year: Annotated[int, Field(ge=2000, lt=2200)] | None = None
    generation_month: Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")] | None = None

    @model_validator(mode="after")
    def _year_of_what_is_cancelled(self) -> Certificate:
        if self.status == "cancelled" and self.quota_year is None:
            raise ValueError("a cancelled certificate needs the quota_year that it was cancelled for")
        return self


def read_certificate(data: Mapping[str, Any]) -> Certificate:
    """The data of an entry as a value. Raises ValueError naming each field at fault, what was found and what is allowed."""
    try:
        return Certificate.model_validate(dict(data))
    except ValidationError as error:
        raise ValueError("; ".join(fault_text(dict(e)) for e in error.errors())) from None


def certificate_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as the ledger keeps it: checked, years as numbers. Raises ValueError as ``read_certificate``."""
    return read_certificate(data).model_dump(exclude_none=True)


def fault_text(error: dict[str, Any]) -> str:
    """Field at fault, what was found and what is allowed, of one error of pydantic."""
    where = ".".join(("data", *(str(part) for part in error["loc"])))
    found = "nothing" if error["type"] == "missing" else repr(error["input"])[:200]
    return f"{where}: found {found}; {error['msg']}"

"""What ledger entries about bought green energy have to say: settled energy of contracts, statements of the grid company."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from plant.certificates import fault_text
from plant.series import QUARTER_NS


class ContractEnergy(BaseModel):
    """Energy of a contract over a span of whole quarters of an hour. ``basis`` says what it is: the settled energy itself, or
    one of the amounts that the settled energy is the least of."""

    model_config = ConfigDict(extra="allow", frozen=True)

    status: Literal["provisional", "final"]
    basis: Literal["settled", "contract", "generator", "user"] = "settled"


class Statement(BaseModel):
    """Energy of a tie or a contract as the grid company states it; of a contract the direction is import."""

    model_config = ConfigDict(extra="allow", frozen=True)

    direction: Literal["import", "export"] = "import"
    status: Literal["provisional", "final"] = "final"


def read_contract_energy(data: Mapping[str, Any], start_ns: int, end_ns: int) -> ContractEnergy:
    """The data of a ``contract_energy`` entry. Raises ValueError for data or a span that cannot be laid over 15-min slots."""
    if start_ns % QUARTER_NS or end_ns % QUARTER_NS or end_ns <= start_ns:
        found = f"{start_ns} to {end_ns} ns"
        raise ValueError(f"start and end: found {found}; contract energy is of a span between whole quarters of an hour")
    try:
        return ContractEnergy.model_validate(dict(data))
    except ValidationError as error:
        raise ValueError("; ".join(fault_text(dict(e)) for e in error.errors())) from None


def read_statement(data: Mapping[str, Any], start_ns: int, end_ns: int) -> Statement:
    """The data of a ``statement`` entry. Raises ValueError for data or a span that cannot be held beside our sum."""
    if start_ns % QUARTER_NS or end_ns % QUARTER_NS or end_ns <= start_ns:
        found = f"{start_ns} to {end_ns} ns"
        raise ValueError(f"start and end: found {found}; a statement is of a span between whole quarters of an hour")
    try:
        return Statement.model_validate(dict(data))
    except ValidationError as error:
        raise ValueError("; ".join(fault_text(dict(e)) for e in error.errors())) from None

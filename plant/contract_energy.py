"""What ledger entries about bought green energy have to say: settled energy of contracts, statements of the grid company."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from plant.certificates import fault_text
from plant.series import QUARTER_NS

M = TypeVar("M", bound=BaseModel)
BOUGHT_KINDS = ("contract_energy", "statement")


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


def read_contract_energy(data: Mapping[str, Any]) -> ContractEnergy:
    """The data of a ``contract_energy`` entry. Raises ValueError naming each field at fault and what is allowed."""
    return _read(ContractEnergy, data)


def read_statement(data: Mapping[str, Any]) -> Statement:
    """The data of a ``statement`` entry. Raises ValueError naming each field at fault and what is allowed."""
    return _read(Statement, data)


def bought_data(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an entry of ``BOUGHT_KINDS`` as the ledger keeps it. Raises ValueError as the two above."""
    model: BaseModel = read_contract_energy(data) if kind == "contract_energy" else read_statement(data)
    return model.model_dump(exclude_none=True)


def quarters_fault(start_ns: int, end_ns: int) -> str:
    """Why a span cannot be laid over 15-min slots; empty where it can."""
    if start_ns % QUARTER_NS == 0 and end_ns % QUARTER_NS == 0 and start_ns < end_ns:
        return ""
    return f"start and end: found {start_ns} and {end_ns} ns; energy is stated of a span between whole quarters of an hour"


def _read(model: type[M], data: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ValueError("; ".join(fault_text(dict(e)) for e in error.errors())) from None

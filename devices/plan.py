"""Which addresses to read: as few requests as the device allows, a value and its scale factor always in one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from devices.maps import ModbusMap, ModbusPoint, Table


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """``count`` registers or bits from ``address`` on."""

    table: Table
    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address behind the request."""
        return self.address + self.count

    def shifted(self, by: int) -> ReadRequest:
        """The same request for a map that starts ``by`` further on."""
        return ReadRequest(self.table, self.address + by, self.count)

    def covers(self, table: Table, address: int) -> bool:
        """Whether an address is read by this request."""
        return table == self.table and self.address <= address < self.end


def plan_reads(map: ModbusMap, base_address: int = 0) -> tuple[ReadRequest, ...]:  # noqa: A002 (the term of the field)
    """The requests that read a map, ascending by table and address.

    The words of all requests in this order are what ``devices.codec`` decodes. The layout does not depend on ``base_address``.
    """
    requests: list[ReadRequest] = []
    for cell in _cells(map.points):
        if requests and _may_join(requests[-1], cell, map):
            last = requests[-1]
            requests[-1] = ReadRequest(last.table, last.address, cell.end - last.address)
        else:
            requests.append(cell)
    return tuple(request.shifted(base_address) for request in requests)


def split_request(map: ModbusMap, request: ReadRequest) -> tuple[ReadRequest, ReadRequest] | None:  # noqa: A002
    """Two requests that together read every point of a refused one, None where it cannot be divided further.

    ``request`` counts from the start of the map. The addresses between the halves that hold no point are left out.
    """
    cells = [cell for cell in _cells(map.points) if request.covers(cell.table, cell.address)]
    if len(cells) < 2:
        return None
    half = len(cells) // 2
    return _around(cells[:half]), _around(cells[half:])


def unsplittable(map: ModbusMap) -> tuple[ReadRequest, ...]:  # noqa: A002
    """What has to be read by one request each, whatever the plan: points with the scale factors that they share."""
    return tuple(_cells(map.points))


def words_of(point: ModbusPoint) -> tuple[int, ...]:
    """Every address that a point needs: its own and that of its scale factor."""
    own = tuple(range(point.address, point.address + point.words))
    return own if point.sf_at is None else (*own, point.sf_at)


def _around(cells: list[ReadRequest]) -> ReadRequest:
    return ReadRequest(cells[0].table, cells[0].address, cells[-1].end - cells[0].address)


def _cells(points: Iterable[ModbusPoint]) -> list[ReadRequest]:
    """Spans that must not be torn, ascending; points that share a scale factor or whose spans overlap are one cell."""
    spans = sorted((p.table, min(words_of(p)), max(words_of(p)) + 1) for p in points)
    by_scale_factor: dict[tuple[Table, int], tuple[int, int]] = {}
    for p in points:
        if p.sf_at is not None:
            low, high = by_scale_factor.get((p.table, p.sf_at), (p.sf_at, p.sf_at + 1))
            by_scale_factor[p.table, p.sf_at] = min(low, *words_of(p)), max(high, *(a + 1 for a in words_of(p)))
    spans = sorted([*spans, *((table, low, high) for (table, _), (low, high) in by_scale_factor.items())])
    cells: list[ReadRequest] = []
    for table, start, end in spans:
        if cells and cells[-1].covers(table, start):
            last = cells[-1]
            cells[-1] = ReadRequest(table, last.address, max(end, last.end) - last.address)
        else:
            cells.append(ReadRequest(table, start, end - start))
    return cells


def _may_join(last: ReadRequest, cell: ReadRequest, map: ModbusMap) -> bool:  # noqa: A002
    if cell.table != last.table or cell.address - last.end > map.gap_max or cell.end - last.address > map.span_max:
        return False
    return not any(first < cell.address and last.end <= end for first, end in map.forbid)

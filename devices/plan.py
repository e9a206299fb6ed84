"""Which addresses to read: as few requests as the device allows, a value and its scale factor always in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.maps import BIT_TABLES, SECTION_SPAN, ModbusMap, ModbusPoint, Table

ADDRESSES = 65_536  # of each table


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

    @property
    def section(self) -> int:
        """The section of a map that a request of its plan belongs to."""
        return self.address // SECTION_SPAN

    def located(self, bases: Sequence[int | None]) -> ReadRequest:
        """A request of a plan as it goes to a device whose sections start at ``bases``."""
        base = bases[self.section]
        assert base is not None, "a section that the device lacks is not read"
        return self.shifted(base - self.section * SECTION_SPAN)

    def covers(self, table: Table, address: int) -> bool:
        """Whether an address is read by this request."""
        return table == self.table and self.address <= address < self.end


def label_of(map: ModbusMap, address: int) -> str:  # noqa: A002
    """An address as profile files write it: ``14``, or ``103/14`` in a SunSpec model."""
    section, offset = divmod(address, SECTION_SPAN)
    return f"{map.sections[section].models[0]}/{offset}" if map.sections else str(address)


def plan_reads(map: ModbusMap, base_address: int = 0) -> tuple[ReadRequest, ...]:  # noqa: A002 (the term of the field)
    """The requests that read a map, ascending by table and address.

    The words of all requests in this order are what ``devices.codec`` decodes. The layout does not depend on ``base_address``.
    """
    requests: list[ReadRequest] = []
    for cell in _cells(map):
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
    cells = [cell for cell in _cells(map) if request.covers(cell.table, cell.address)]
    if len(cells) < 2:
        return None
    half = len(cells) // 2
    return _around(cells[:half]), _around(cells[half:])


def clipped(map: ModbusMap, request: ReadRequest, end: int) -> ReadRequest | None:  # noqa: A002
    """What is left of a request of a map of which only the addresses below ``end`` exist, None where nothing is."""
    if request.end <= end:
        return request
    cells = [c for c in _cells(map) if request.covers(c.table, c.address) and c.end <= end]
    return _around(cells) if cells else None


def guards(map: ModbusMap, requests: Sequence[ReadRequest]) -> tuple[ReadRequest, ...]:  # noqa: A002
    """Scale factors that are not in the request of each of their values: to be read once more after the others.

    Their words must not have changed meanwhile, or values and scale factors are not of one instant.
    """
    torn: set[tuple[Table, int]] = set()
    for point in map.points:
        home = next((r for r in requests if r.covers(point.table, point.address)), None)
        if point.sf_at is not None and home is not None and not home.covers(point.table, point.sf_at):
            torn.add((point.table, point.sf_at))
    found: list[ReadRequest] = []
    for table, address in sorted(torn):
        if (
            found
            and found[-1].table == table
            and any(r.covers(table, address) and r.covers(table, found[-1].address) for r in requests)
        ):
            found[-1] = ReadRequest(table, found[-1].address, address + 1 - found[-1].address)
        else:
            found.append(ReadRequest(table, address, 1))
    return tuple(found)


def unsplittable(map: ModbusMap) -> tuple[ReadRequest, ...]:  # noqa: A002
    """What has to be read by one request each, whatever the plan: points with the scale factors that they share."""
    return tuple(_cells(map))


def words_of(point: ModbusPoint) -> tuple[int, ...]:
    """Every address that a point needs: its own and that of its scale factor."""
    own = tuple(range(point.address, point.address + point.words))
    return own if point.sf_at is None else (*own, point.sf_at)


def span_max(map: ModbusMap, table: Table) -> int:  # noqa: A002
    """The longest request to a table."""
    return map.bit_span_max if table in BIT_TABLES else map.span_max


def _around(cells: list[ReadRequest]) -> ReadRequest:
    return ReadRequest(cells[0].table, cells[0].address, cells[-1].end - cells[0].address)


def _cells(map: ModbusMap) -> list[ReadRequest]:  # noqa: A002
    """Spans that must not be torn, ascending; points that share a scale factor or whose spans overlap are one cell."""
    spans: set[tuple[Table, int, int]] = set()
    by_scale_factor: dict[tuple[Table, int], tuple[int, int]] = {}
    for p in map.points:
        if p.sf_at is None:
            spans.add((p.table, p.address, p.address + p.words))
        elif p.sf_read == "around":
            spans |= {(p.table, p.address, p.address + p.words), (p.table, p.sf_at, p.sf_at + 1)}
        else:
            low, high = by_scale_factor.get((p.table, p.sf_at), (p.sf_at, p.sf_at + 1))
            by_scale_factor[p.table, p.sf_at] = min(low, *words_of(p)), max(high, *(a + 1 for a in words_of(p)))
    spans |= {(table, low, high) for (table, _), (low, high) in by_scale_factor.items()}
    cells: list[ReadRequest] = []
    for table, start, end in sorted(spans):
        if cells and cells[-1].covers(table, start):
            last = cells[-1]
            cells[-1] = ReadRequest(table, last.address, max(end, last.end) - last.address)
        else:
            cells.append(ReadRequest(table, start, end - start))
    return cells


def _may_join(last: ReadRequest, cell: ReadRequest, map: ModbusMap) -> bool:  # noqa: A002
    gap_max = map.bit_gap_max if cell.table in BIT_TABLES else map.gap_max
    if map.join == "none" or cell.table != last.table or cell.address // SECTION_SPAN != last.address // SECTION_SPAN:
        return False
    if cell.address - last.end > gap_max or cell.end - last.address > span_max(map, cell.table):
        return False
    return not any(first < cell.address and last.end <= end for first, end in map.forbid)

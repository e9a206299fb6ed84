"""What must hold for the endpoints of a site file and the units behind them: each is reached one way, and by one connection."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from plant.site_text import EndpointText, SiteFile

Found = tuple[str, object, str]

SERIAL = ("modbus_rtu", "dlt645")
POLLED = ("modbus_tcp", "modbus_tls", "modbus_rtu", "modbus_rtu_over_tcp", "dlt645", "dlt645_over_tcp")
UNITS = range(1, 248)  # Modbus over Serial Line V1.02, section 2.2
OF_THE_DEVICE_ITSELF = (0, 255)  # Modbus Messaging on TCP/IP V1.0b, section 4.4.2.4


def endpoint_faults(site: SiteFile) -> Iterator[Found]:
    """Where each endpoint is, that no two share a connection, which units it can have and how often it may be asked."""
    places: dict[str, str] = {}
    for e in site.endpoint:
        if e.protocol == "import":
            continue
        yield from _place(e)
        yield from _tls(e)
        place = e.serial_port if e.protocol in SERIAL else f"{_plain(e.host)}:{e.port}"
        if e.protocol in POLLED and place not in ("", ":0"):
            owner = places.setdefault(place, e.id)
            if owner != e.id:
                allowed = f"a place of its own: many gateways take one connection; put its meters on {owner}, which has that one"
                yield f"endpoint[{e.id}].{'serial_port' if e.protocol in SERIAL else 'host'}", place, allowed
        yield from _units(e, site)
        yield from _rate(e, site)


def _place(e: EndpointText) -> Iterator[Found]:
    key = f"endpoint[{e.id}]"
    if e.protocol in SERIAL:
        if not e.serial_port:
            yield f"{key}.serial_port", "", "the serial port, such as /dev/ttyUSB0 or, better, its name in /dev/serial/by-id"
        if e.host or e.port:
            yield (
                f"{key}.host",
                f"{e.host}:{e.port}",
                f"nothing: {e.protocol} is a serial line here; over TCP it has another name",
            )
        return
    if not e.host:
        yield f"{key}.host", e.host, "the name or address of the gateway or broker"
    elif (address := _address(e.host)) is not None and not _is_of_one(address):
        yield f"{key}.host", e.host, "the address of one device: this one is of many, or of none"
    if not e.port:
        yield f"{key}.port", e.port, "the TCP port of the gateway or broker, 1 to 65535"
    if e.serial_port:
        yield f"{key}.serial_port", e.serial_port, f"nothing: {e.protocol} goes over TCP"


def _plain(host: str) -> str:
    """One spelling of one place."""
    lower = host.lower().rstrip(".")
    return "127.0.0.1" if lower in ("localhost", "ip6-localhost", "::1") else str(_address(lower) or lower)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, an IPv4 one inside an IPv6 one as itself; None for a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_of_one(address: IPv4Address | IPv6Address) -> bool:
    reserved = address.version == 4 and address.is_reserved  # 255.255.255.255 among them
    return not (address.is_multicast or address.is_unspecified or reserved)


def _tls(e: EndpointText) -> Iterator[Found]:
    key = f"endpoint[{e.id}]"
    if e.protocol in POLLED and e.protocol != "modbus_tls":
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(e, name):
                yield f"{key}.{name}", getattr(e, name), f"nothing: {e.protocol} has no TLS, modbus_tls has"
        if e.tls:
            yield f"{key}.tls", e.tls, f"nothing: {e.protocol} has no TLS, modbus_tls has"
    if e.key_file and not e.cert_file:
        yield f"{key}.cert_file", "", "the certificate that the key belongs to"


def _units(e: EndpointText, site: SiteFile) -> Iterator[Found]:
    if not e.protocol.startswith("modbus"):
        return
    itself = e.protocol in ("modbus_tcp", "modbus_tls")
    for m in site.meter:
        if m.endpoint == e.id and m.unit not in UNITS and not (itself and m.unit in OF_THE_DEVICE_ITSELF):
            allowed = "1 to 247, or 0 or 255 for a device that has no units behind it" if itself else "1 to 247"
            yield f"meter[{m.id}].unit", m.unit, allowed


def _rate(e: EndpointText, site: SiteFile) -> Iterator[Found]:
    """A poll is one request or more, so meters that ask for more polls than requests are allowed are never read in time."""
    if e.requests_per_s_max is None or e.protocol not in POLLED:
        return
    polls_per_s = sum(1 / m.poll_interval_s for m in site.meter if m.endpoint == e.id)
    if polls_per_s > e.requests_per_s_max * (1 + 1e-9):
        allowed = f"at least {polls_per_s:g}, since its meters ask for as many polls a second, or longer poll_interval_s"
        yield f"endpoint[{e.id}].requests_per_s_max", e.requests_per_s_max, allowed

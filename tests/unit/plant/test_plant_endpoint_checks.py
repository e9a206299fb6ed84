"""What a site file may say of the endpoints that are polled."""

from __future__ import annotations

import pytest

from plant.config import parse_site
from plant.errors import ConfigError

HEAD = '[plant]\nid = "works"\nname = { en = "Works" }\n[[bus]]\nid = "b1"\n'
TCP = 'protocol = "modbus_tcp"\nhost = "10.0.0.1"\nport = 502\n'
RTU = 'protocol = "modbus_rtu"\nserial_port = "/dev/ttyUSB0"\n'


def site(*endpoints: str, unit: int = 1, interval_s: float = 1.0) -> str:
    text = HEAD + "".join(f'[[endpoint]]\nid = "e{i}"\n{e}' for i, e in enumerate(endpoints, 1))
    return text + f'[[meter]]\nid = "m1"\nprofile = "p"\nendpoint = "e1"\nunit = {unit}\npoll_interval_s = {interval_s}\n'


def faults(text: str) -> dict[str, str]:
    """What is allowed instead, by key."""
    try:
        parse_site(text, "site.toml")
    except ConfigError as error:
        return {fault.key: fault.allowed for fault in error.faults}
    return {}


@pytest.mark.parametrize(
    "text",
    [
        site(TCP),
        site(RTU),
        site(TCP, unit=0),
        site(TCP, unit=255),
        site(TCP.replace("_tcp", "_rtu_over_tcp"), unit=247),
        site(TCP.replace("_tcp", "_tls") + 'ca_file = "ca.pem"\ncert_file = "c.pem"\nkey_file = "c.key"\n'),
        site(TCP, TCP.replace("502", "503"), RTU, RTU.replace("USB0", "USB1")),
        site(TCP, 'protocol = "mqtt"\nhost = "h"\nport = 1883\n', 'protocol = "mqtt"\nhost = "h"\nport = 1883\n'),
        site(TCP + "requests_per_s_max = 1\n"),
        site(TCP, interval_s=0.1),
        site(TCP, interval_s=86_400),
    ],
)
def test_what_is_right_passes(text: str) -> None:
    assert faults(text) == {}


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (site('protocol = "modbus_rtu"\n'), "endpoint[e1].serial_port", "/dev/serial/by-id"),
        (site(RTU + 'host = "10.0.0.1"\n'), "endpoint[e1].host", "nothing: modbus_rtu is a serial line"),
        (site(TCP + 'serial_port = "/dev/ttyS0"\n'), "endpoint[e1].serial_port", "nothing: modbus_tcp goes over TCP"),
        (site(TCP.replace("port = 502\n", "")), "endpoint[e1].port", "TCP port of the gateway"),
        (site(TCP, TCP), "endpoint[e2].host", "many gateways take one connection; put its meters on e1"),
        (site(TCP, TCP.replace("_tcp", "_rtu_over_tcp")), "endpoint[e2].host", "a place of its own"),
        (site(TCP.replace("10.0.0.1", "127.0.0.1"), TCP.replace("10.0.0.1", "localhost")), "endpoint[e2].host", "a place of its"),
        (site(TCP, TCP.replace("10.0.0.1", "::ffff:10.0.0.1")), "endpoint[e2].host", "a place of its own"),
        (site(TCP.replace("10.0.0.1", "255.255.255.255")), "endpoint[e1].host", "the address of one device"),
        (site(TCP.replace("10.0.0.1", "224.0.0.9")), "endpoint[e1].host", "the address of one device"),
        (site(TCP.replace("10.0.0.1", "0.0.0.0")), "endpoint[e1].host", "the address of one device"),
        (site(RTU, RTU.replace("modbus_rtu", "dlt645")), "endpoint[e2].serial_port", "a place of its own"),
        (site(TCP + 'ca_file = "ca.pem"\n'), "endpoint[e1].ca_file", "modbus_tcp has no TLS, modbus_tls has"),
        (site(TCP + "tls = true\n"), "endpoint[e1].tls", "modbus_tls has"),
        (site(TCP.replace("_tcp", "_tls") + 'key_file = "c.key"\n'), "endpoint[e1].cert_file", "belongs to"),
        (site(TCP, unit=248), "meter[m1].unit", "1 to 247, or 0 or 255"),
        (site(RTU, unit=0), "meter[m1].unit", "1 to 247"),
        (site(RTU, unit=255), "meter[m1].unit", "1 to 247"),
        (site(TCP + "requests_per_s_max = 0.5\n"), "endpoint[e1].requests_per_s_max", "at least 1"),
        (site(TCP, interval_s=0.05), "meter[m1].poll_interval_s", "0.1"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(text: str, key: str, words: str) -> None:
    found = faults(text)
    assert list(found) == [key]
    assert words in found[key]

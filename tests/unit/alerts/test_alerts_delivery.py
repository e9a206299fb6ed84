"""Delivery to a real webhook and a real mail server, in order, through failures and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from alerts.notify import parse_addresses
from alerts.outbox import MESSAGES_MAX, Message, Outbox, outbox_from_state, outbox_to_state
from plant.errors import ConfigError

# apprise looks for a module of the standard library that later versions of Python no longer have
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
VARIABLE = "POTWATT_ALERT_URLS"
OVER, UNDER = (13_120.0, 13_050.0, 13_190.0), (12_950.0, 12_900.0, 12_990.0)


class Webhook:
    """A web server that takes JSON posts, or refuses them while ``status`` says so."""

    def __init__(self) -> None:
        self.status, self.taken, self.refused = 200, [], 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 200:
                    hook.taken.append(json.loads(body))
                else:
                    hook.refused += 1
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"json://hook:s3cret@127.0.0.1:{self._server.server_address[1]}/alerts"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Inbox:
    """What the mail server does with a message: keep it."""

    def __init__(self) -> None:
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd names it so
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


@pytest.fixture
def webhook():
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture
def mail(unused_tcp_port_factory):
    inbox = Inbox()
    port = unused_tcp_port_factory()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    inbox.url = f"mailto://127.0.0.1:{port}?from=potwatt@plant.example&to=shift@plant.example&mode=insecure"
    yield inbox
    controller.stop()


async def raise_alert(plant):
    plant.set_e1(*OVER)
    await plant.look(8)


async def test_webhook_and_mail_receive_both_languages(plant, webhook, mail):
    plant.start(parse_addresses(f"{webhook.url}\n{mail.url}", VARIABLE))
    await raise_alert(plant)
    await plant.service.deliver()
    (post,), (letter,) = webhook.taken, mail.mails
    assert post["title"] == letter["Subject"] == "报警: 一系列: 近24小时铝液交流电耗(e1)高于标杆值"
    assert letter["To"] == "shift@plant.example"
    for text in (post["message"], letter.get_body(("html", "plain")).get_content()):
        assert "限值: 13000 kWh/t" in text
        assert "ALERT: Potline 1: AC energy per tonne" in text
        assert "band: 13050 kWh/t to 13190 kWh/t" in text
        assert "benchmark@2022-01-01" in text


async def test_a_refusing_webhook_is_tried_again_and_the_order_is_kept(plant, webhook):
    plant.start(parse_addresses(webhook.url, VARIABLE))
    webhook.status = 503
    await raise_alert(plant)
    plant.set_e1(*UNDER)
    await plant.look(5)
    await plant.service.deliver()
    await plant.service.deliver()
    assert (webhook.refused, webhook.taken) == (1, []), "not before its pause is over"
    (health,) = [h for h in plant.board.all() if h.part == "notify"]
    assert health.state == "degraded"
    assert "1:json" in health.detail
    assert "s3cret" not in health.detail
    webhook.status = 200
    await plant.clock.sleep(30)
    for _ in range(3):
        await plant.service.deliver()
    assert [post["title"].split(":")[0] for post in webhook.taken] == ["报警", "恢复"]


async def test_what_was_not_delivered_survives_a_restart_and_is_delivered_once(plant, webhook):
    addresses = parse_addresses(webhook.url, VARIABLE)
    plant.start(addresses)
    webhook.status = 500
    await raise_alert(plant)
    await plant.service.deliver()
    plant.start(addresses)
    webhook.status = 200
    await plant.look(1)
    await plant.clock.sleep(30)
    for _ in range(3):
        await plant.service.deliver()
    assert len(webhook.taken) == 1


async def test_a_mail_server_that_is_down_does_not_hold_up_the_webhook(plant, webhook, unused_tcp_port):
    dead = f"mailto://127.0.0.1:{unused_tcp_port}?from=a@plant.example&to=b@plant.example&mode=insecure"
    plant.start(parse_addresses(f"{dead} {webhook.url}", VARIABLE))
    await raise_alert(plant)
    await plant.service.deliver()
    assert len(webhook.taken) == 1
    counters = {dict(labels)["address"]: dict(labels)["result"] for (_, labels) in plant.board.counters()}
    assert counters == {"1:mailto": "refused", "2:json": "taken"}


async def test_an_address_that_takes_the_connection_and_never_answers_holds_up_no_other(plant, webhook):
    class GivingClock(type(plant.clock)):
        async def sleep(self, seconds):
            await asyncio.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as hanging:
        plant.clock = GivingClock()
        plant.start(parse_addresses(f"json://127.0.0.1:{hanging.getsockname()[1]}/ {webhook.url}", VARIABLE))
        await raise_alert(plant)
        plant.set_e1(*UNDER)
        await plant.look(5)
        running = asyncio.create_task(plant.service.run())
        for _ in range(3_000):
            if len(webhook.taken) == 2:
                break
            await asyncio.sleep(0.01)
        heard_of = {dict(labels)["address"] for _, labels in plant.board.counters()}
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert len(webhook.taken) == 2
    assert heard_of == {"2:json"}


async def test_an_alert_whose_meter_leaves_the_site_is_delivered_as_ended(plant, webhook):
    addresses = parse_addresses(webhook.url, VARIABLE)
    plant.start(addresses)
    await plant.look(1)
    await plant.look(7, heard="")
    plant.text = plant.text.replace('id = "m1"', 'id = "m2"')
    plant.start(addresses)
    await plant.look(1, heard="m2")
    for _ in range(2):
        await plant.service.deliver()
    assert [post["title"] for post in webhook.taken] == ["报警: 一号进线: 电表无数据", "撤销: m1: 电表无数据"]
    assert "not in the site file any more" in webhook.taken[1]["message"]


async def test_no_secret_is_in_the_ledger(plant, webhook, tmp_path):
    plant.start(parse_addresses(webhook.url, VARIABLE))
    webhook.status = 500
    await raise_alert(plant)
    await plant.service.deliver()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"1:json" in kept
    assert b"s3cret" not in kept


def test_an_address_that_cannot_be_read_is_named_by_its_place_alone():
    with pytest.raises(ConfigError) as error:
        parse_addresses("json://127.0.0.1/a nonsense://user:s3cret@host", VARIABLE)
    assert "environment variable POTWATT_ALERT_URLS: address 2" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_no_address_at_all_is_allowed():
    assert parse_addresses("", VARIABLE) == ()


def message(number: int, address: str = "1:json", due_ns: int = 0) -> Message:
    return Message(f"id-{number}", address, "raised", "title", "body", due_ns)


def test_a_full_outbox_lets_the_oldest_go_and_counts_them():
    outbox = Outbox().post(message(i) for i in range(MESSAGES_MAX + 3))
    assert (len(outbox.messages), outbox.messages[0].id, outbox.lost) == (MESSAGES_MAX, "id-3", 3)


def test_messages_to_an_address_that_is_gone_are_counted_as_lost():
    outbox = Outbox().post([message(1), message(1, "2:mailto")]).only(["2:mailto"])
    assert ([m.address for m in outbox.messages], outbox.lost) == (["2:mailto"], 1)


def test_pauses_grow_to_a_bound():
    outbox, pauses, now_ns = Outbox().post([message(1)]), [], 0
    for _ in range(12):
        outbox = outbox.failed(outbox.messages[0], now_ns)
        pauses.append((outbox.messages[0].due_ns - now_ns) / 1e9)
        now_ns = outbox.messages[0].due_ns
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == 900


@given(st.lists(st.tuples(st.sampled_from(["1:json", "2:mailto"]), st.booleans()), max_size=40))
def test_whatever_fails_every_message_arrives_in_order_at_each_address(tries):
    outbox = Outbox().post(message(i, address) for i in range(5) for address in ("1:json", "2:mailto"))
    arrived: dict[str, list[str]] = {"1:json": [], "2:mailto": []}
    now_ns = 0
    for address, taken in [*tries, *[("1:json", True), ("2:mailto", True)] * 5]:
        now_ns += 10**12
        for head in outbox.due(now_ns):
            if head.address == address:
                outbox = outbox.delivered(head) if taken else outbox.failed(head, now_ns)
                arrived[address] += [head.id] if taken else []
        outbox = outbox_from_state(outbox_to_state(outbox))
    assert outbox == Outbox()
    assert all(ids == [f"id-{i}" for i in range(5)] for ids in arrived.values())

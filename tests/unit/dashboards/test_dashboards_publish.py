"""Publishing over real HTTP to a server that keeps Grafana's rules for data sources and dashboards."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dashboards.publish import data_sources, publish
from plant.config import parse_site
from plant.errors import ConfigError, InputError, TransportError
from plant.rulebook import parse_rules, shipped_rule_texts

RULEBOOK = parse_rules(shipped_rule_texts())
TEXT = """
[plant]
id = "works"
name = { en = "Works" }
[[bus]]
id = "b"
[[branch]]
id = "tie"
kind = "grid_tie"
bus = "b"
[store]
kind = "influxdb"
url = "http://127.0.0.1:8086"
username = "reader"
password_env = "STORE_PASSWORD"
"""
SITE = parse_site(TEXT, "site.toml")
SECRETS = {"STORE_PASSWORD": "s3cret"}


class Grafana:
    """The part of Grafana's HTTP API that publishing uses: token, unique uids, 404 for what is not there."""

    def __init__(self) -> None:
        self.sources, self.dashboards, self.status, self.asked = {}, {}, 0, []
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                grafana.asked.append(f"{self.command} {self.path}")
                status, answer = grafana.answer(self.command, self.path, self.headers.get("Authorization"), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = _handle  # noqa: N815 - http.server names them so

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method, path, authorization, body):
        if authorization != "Bearer right":
            return 401, {"message": "Invalid API key"}
        if self.status:
            return self.status, {"message": "because"}
        uid = path.rpartition("/")[2]
        if method == "POST" and path == "/api/datasources":
            if body["uid"] in self.sources:
                return 409, {"message": "data source with the same name already exists"}
            self.sources[body["uid"]] = body
            return 200, body
        if path.startswith("/api/datasources/uid/"):
            if uid not in self.sources:
                return 404, {"message": "data source not found"}
            if method == "PUT":
                self.sources[uid] = body
            return 200, self.sources[uid]
        if method == "POST" and path == "/api/dashboards/db":
            self.dashboards[body["dashboard"]["uid"]] = body
            return 200, {"url": f"/d/{body['dashboard']['uid']}", "status": "success"}
        return 404, {"message": f"no {method} {path}"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def grafana():
    server = Grafana()
    yield server
    server.close()


def put(grafana, token="right"):
    return publish(SITE, RULEBOOK, url=grafana.url + "/", token=token, secrets=SECRETS)


def test_publishing_twice_leaves_one_of_each(grafana):
    assert put(grafana) == [f"{grafana.url}/d/potwatt-energy-works"]
    assert put(grafana) == [f"{grafana.url}/d/potwatt-energy-works"]
    assert set(grafana.sources) == {"potwatt-works-raw", "potwatt-works-1m", "potwatt-works-15m"}
    assert grafana.dashboards["potwatt-energy-works"]["overwrite"] is True


def test_every_query_finds_its_data_source(grafana):
    put(grafana)
    dashboard = grafana.dashboards["potwatt-energy-works"]["dashboard"]
    used = {target["datasource"]["uid"] for panel in dashboard["panels"] for target in panel["targets"]}
    assert used <= set(grafana.sources)
    assert grafana.sources["potwatt-works-15m"]["jsonData"]["dbName"] == "potwatt_15m"


def test_the_stores_password_goes_into_the_part_that_grafana_encrypts():
    for source in data_sources(SITE, SECRETS):
        assert source["secureJsonData"]["password"] == "s3cret"
        assert "s3cret" not in json.dumps({k: v for k, v in source.items() if k != "secureJsonData"})


def test_a_token_of_the_store_is_sent_as_a_header():
    site = parse_site(TEXT.replace('password_env = "STORE_PASSWORD"', 'token_env = "STORE_TOKEN"'), "site.toml")
    for source in data_sources(site, {"STORE_TOKEN": "t0ken"}):
        assert source["jsonData"]["httpHeaderName1"] == "Authorization"
        assert source["secureJsonData"]["httpHeaderValue1"] == "Token t0ken"


def test_the_stores_own_authority_goes_along(tmp_path):
    authority = tmp_path / "ca.pem"
    site = parse_site(TEXT + f'ca_file = "{authority}"\n', "site.toml")
    with pytest.raises(ConfigError, match=r"store\.ca_file"):
        data_sources(site, SECRETS)
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    for source in data_sources(site, SECRETS):
        assert source["jsonData"]["tlsAuthWithCACert"] is True
        assert source["secureJsonData"]["tlsCACert"] == "-----BEGIN CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(403, InputError, "role Admin"), (412, InputError, "because"), (503, TransportError, "because")],
)
def test_refusals_say_what_to_do(grafana, status, error, words):
    grafana.status = status
    with pytest.raises(error, match=words):
        put(grafana)


def test_a_wrong_token_is_said_to_be_one_and_not_shown(grafana):
    with pytest.raises(InputError, match="does not know the token") as error:
        put(grafana, token="wr0ng")
    assert "wr0ng" not in str(error.value)


def test_no_grafana_there(unused_tcp_port):
    with pytest.raises(TransportError, match="is it running there"):
        publish(SITE, RULEBOOK, url=f"http://127.0.0.1:{unused_tcp_port}", token="right", secrets=SECRETS)


def test_another_store_has_nothing_that_grafana_could_read(grafana):
    site = parse_site(TEXT.replace('kind = "influxdb"', 'kind = "embedded"'), "site.toml")
    with pytest.raises(ConfigError, match=r"store\.kind"):
        publish(site, RULEBOOK, url=grafana.url, token="right", secrets={})
    assert grafana.asked == []

"""Puts data sources and dashboards into a running Grafana; doing it again replaces them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException, GrafanaUnauthorizedError

from dashboards.build import dashboards
from dashboards.statements import DATABASE_SUFFIX, data_source_uid
from plant.errors import ConfigError, Fault, InputError, TransportError
from plant.rulebook import Rulebook
from plant.site import Site

TIMEOUT_S = 10.0
_FORBIDDEN, _NOT_FOUND = 403, 404


def publish(site: Site, rulebook: Rulebook, *, url: str, token: str, secrets: Mapping[str, str]) -> list[str]:
    """Create or replace everything; returns the addresses of the dashboards.

    ``token`` is that of a Grafana service account that may edit data sources and dashboards; ``secrets`` holds the values
    of the environment variables that the site's store names. Raises ConfigError when the site has no InfluxDB store or
    its ``ca_file`` cannot be read,
    InputError when Grafana refuses, TransportError when it cannot be reached.
    """
    if site.store.kind != "influxdb":
        allowed = '"influxdb": Grafana cannot read the other stores; without it, use the page of potwatt itself'
        raise ConfigError([Fault("site file", "store.kind", repr(site.store.kind), allowed)])
    base = url.rstrip("/")
    api: Any = GrafanaApi.from_url(base, credential=token, timeout=TIMEOUT_S)  # its methods carry no types
    # the client takes the address as that of the API itself when it has a path, else it adds the path
    api.client.url = f"{base}/api"
    try:
        for source in data_sources(site, secrets):
            _replace_source(api, source)
        today = datetime.now(site.calendar.zone).date()
        return [base + _replace_dashboard(api, dashboard) for dashboard in dashboards(site, rulebook, today).values()]
    except GrafanaException as error:
        raise _refused(base, error) from error
    except OSError as error:
        raise TransportError(f"Grafana at {base} cannot be reached: {type(error).__name__}; is it running there?") from error


def data_sources(site: Site, secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    """Grafana's data sources for the three databases of a site, secrets and the store's own authority included.

    Raises ConfigError when ``store.ca_file`` cannot be read.
    """
    store = site.store
    password, token = secrets.get(store.password_env, ""), secrets.get(store.token_env, "")
    authority = _authority(store.ca_file)
    sources: list[dict[str, Any]] = []
    for resolution, suffix in DATABASE_SUFFIX.items():
        database = store.database + suffix
        source: dict[str, Any] = {
            "name": f"potwatt {site.id} {resolution}",
            "uid": data_source_uid(site.id, resolution),
            "type": "influxdb",
            "access": "proxy",
            "url": store.url,
            "database": database,
            "user": store.username,
            "basicAuth": False,
            "jsonData": {"dbName": database, "httpMode": "GET", "version": "InfluxQL"},
            "secureJsonData": {"password": password},
        }
        if token:
            source["jsonData"]["httpHeaderName1"] = "Authorization"
            source["secureJsonData"]["httpHeaderValue1"] = f"Token {token}"
        if authority:
            source["jsonData"]["tlsAuthWithCACert"] = True
            source["secureJsonData"]["tlsCACert"] = authority
        sources.append(source)
    return sources


def _authority(ca_file: str) -> str:
    """The certificates that the store is trusted by, "" for those of the system."""
    try:
        return Path(ca_file).read_text("ascii") if ca_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault("site file", "store.ca_file", f"{ca_file!r}: {error}", "a readable PEM file")]) from error


def _replace_source(api: Any, source: Mapping[str, Any]) -> None:
    try:
        api.datasource.get_datasource_by_uid(source["uid"])
    except GrafanaClientError as error:
        if error.status_code != _NOT_FOUND:
            raise
        api.datasource.create_datasource(dict(source))
    else:
        api.datasource.update_datasource_by_uid(source["uid"], dict(source))


def _replace_dashboard(api: Any, dashboard: Mapping[str, Any]) -> str:
    answer = api.dashboard.update_dashboard({"dashboard": dict(dashboard), "overwrite": True, "message": "potwatt"})
    return str(answer["url"])


def _refused(base: str, error: GrafanaException) -> InputError | TransportError:
    if isinstance(error, GrafanaUnauthorizedError):
        return InputError(f"Grafana at {base} does not know the token; make one for a service account with the role Admin")
    if error.status_code == _FORBIDDEN:
        return InputError(f"Grafana at {base} knows the token, but it may not edit: {error.message}; give it the role Admin")
    if error.status_code in range(400, 500):
        return InputError(f"Grafana at {base} refuses: {error.message}")
    return TransportError(f"Grafana at {base} fails: {error.message or 'no answer in time'}; look at its log and try again")

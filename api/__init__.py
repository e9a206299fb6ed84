"""The HTTP interface: routes, live stream, reports and the page. It reads; only the ledger routes write."""

#!/bin/sh
# Write requirements.lock (to run) and requirements-dev.lock (to test): versions and hashes, no addresses.
set -eu
options="--quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --no-annotate"
# shellcheck disable=SC2086
.venv/bin/pip-compile $options --output-file requirements.lock pyproject.toml deploy/build-requirements.in
# shellcheck disable=SC2086
.venv/bin/pip-compile $options --extra dev --output-file requirements-dev.lock pyproject.toml deploy/build-requirements.in

#!/bin/bash
# Makes .venv with orch, orch-oci and the tools of `make lint` and `make test`, from whatever index pip is configured for.
set -euo pipefail

PYTHON=${PYTHON:-python3}
if ! [[ -x .venv/bin/pip ]]; then
    echo "making .venv"
    "$PYTHON" -m venv .venv
fi
echo "installing orch into .venv"
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --config-settings editable_mode=compat \
    --editable '.[dev]'  # compat: a line in a .pth; the default's import hook would cost every command 11 ms

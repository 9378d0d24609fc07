#!/bin/bash
# Ends the demo's daemon with everything it made, then removes .venv, caches and generated files. Again is fine.
set -euo pipefail

NAME=demo
STATE=/var/lib/orch-$NAME
RUN=/run/orch-$NAME

if [[ -e $STATE || -e $RUN ]]; then
    [[ -x .venv/bin/orch ]] || make --no-print-directory install # only orch knows all that is there
    .venv/bin/orch --instance "$NAME" system stop --all --purge
    rm -rf "$RUN" # its lock and its sockets; nobody listens any more
fi

left=()
for place in "$STATE" "$RUN" "/sys/class/net/orch-$NAME" "/sys/fs/cgroup/orch-$NAME" /sys/fs/cgroup/*/"orch-$NAME"; do
    if [[ -e $place ]]; then left+=("$place"); fi
done
if grep -q " $STATE/" /proc/self/mounts; then left+=("mounts below $STATE"); fi
if ((${#left[@]})); then
    echo "make clean: left behind: ${left[*]} (end the demo by: orch --instance $NAME system stop --all --purge)" >&2
    exit 1
fi

find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist ./*.egg-info e2e/failures

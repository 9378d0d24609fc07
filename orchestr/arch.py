"""This machine's architecture as images and Kubernetes name it (GOARCH): amd64, arm64."""

import os

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # uname -m -> GOARCH; any other name is taken as it is


def arch() -> str:
    machine = os.uname().machine
    return MACHINES.get(machine, machine)

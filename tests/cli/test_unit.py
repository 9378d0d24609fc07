"""The systemd unit: what stops with it, and what with the machine. e2e/vm/ runs it."""

import sys

from orchestr.cli.system import START, STOP, unit
from orchestr.instance import instance


def lines(name: str = "") -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit(instance(name)).splitlines() if "=" in line)


def test_only_the_main_process_is_signalled_and_a_clean_end_is_an_end() -> None:
    assert lines()["KillMode"] == "process"
    assert lines()["Restart"] == "on-failure"


def test_containers_stop_before_the_machine_does() -> None:
    stop = lines()["ExecStop"]
    assert '"$$(systemctl is-system-running)" != stopping ||' in stop
    assert stop.endswith(f"exec {sys.executable} -m orchestr.cli system stop --all'")


def test_systemd_waits_longer_than_we_do() -> None:
    assert float(lines()["TimeoutStartSec"]) > START
    assert float(lines()["TimeoutStopSec"]) > STOP


def test_the_instance_is_named() -> None:
    assert lines("lab")["Environment"] == "ORCH_INSTANCE=lab"

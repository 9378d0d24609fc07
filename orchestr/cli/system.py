"""`orch system start|stop|status|check|install|uninstall`: the daemon in the background."""

import argparse
import fcntl
import os
import socket
import subprocess
import sys
import time
from typing import Any

from orchestr.cli import FAILED, OK, context
from orchestr.cli.errors import Failed
from orchestr.cli.options import add_output
from orchestr.cli.output import dump
from orchestr.client.http import NoDaemon
from orchestr.instance import LOCK, Instance

EXAMPLES = """examples:
  orch system start              in the background; again is fine
  orch system stop               containers go on
  orch system stop --all         everything ends, nothing is left behind"""

START = 90.0  # seconds in which a daemon must be ready; a cold start on a slow disk takes its time
STOP = 120.0
UNIT = "/etc/systemd/system/orch{suffix}.service"


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("start", help="start the daemon unless it runs")
    verb = verbs.add_parser("stop", help="end the daemon; containers go on")
    verb.add_argument("--all", action="store_true", help="end the containers too, and leave no trace but the state")
    verb.add_argument("--purge", action="store_true", help="with --all: delete the state too")
    verb = verbs.add_parser("status", help="whether it runs, and where")
    add_output(verb, "json", "yaml")
    verb = verbs.add_parser("check", help="whether this machine can run it")
    add_output(verb, "json", "yaml")
    verbs.add_parser("install", help="as a systemd unit")
    verbs.add_parser("uninstall", help="remove the systemd unit")


def run(args: argparse.Namespace) -> int:
    here = context.current()
    calls = {"start": start, "stop": stop, "status": status, "check": check, "install": install, "uninstall": uninstall}
    return calls[args.verb](args, here)


def start(_args: argparse.Namespace, here: Instance) -> int:
    found = running(here)
    if found is None:
        print(f"orch: started (pid {launch(here)}, {here.socket})")
    else:
        print(f"orch: running already (pid {found['pid']}, {here.socket})")
    return OK


def running(here: Instance) -> dict[str, Any] | None:
    from orchestr.client.sync import Client

    try:
        return Client(here.socket, start=context.start_command(here)).get("/orchestr.dev/v1/system")
    except NoDaemon:
        return None


def launch(here: Instance, *, by_unit: bool = True) -> int:
    """Starts a daemon that keeps nothing of ours, by its unit where it has one; its pid once it is ready.

    Of commands that do so at once one starts it, and the others find it there. Failed with what it said.
    """
    if os.geteuid() != 0:
        raise Failed("orch: cannot start the daemon: it needs root (use sudo)")
    if by_unit and installed(here):
        return _launch_unit(here)
    os.makedirs(here.state, mode=0o700, exist_ok=True)
    os.makedirs(here.run, mode=0o700, exist_ok=True)
    with open(os.path.join(here.state, "starting.lock"), "w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        found = running(here)
        return int(found["pid"]) if found else _launch(here)


def _launch(here: Instance) -> int:
    log = os.path.join(here.state, "daemon.log")
    words = [sys.executable, "-m", "orchestr.cli", "daemon"]
    place = os.path.join(here.run, "ready.sock")
    if os.path.exists(place):
        os.unlink(place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(log, "ab") as output:
        ready.bind(place)
        begin = output.tell()
        env = {**os.environ, "NOTIFY_SOCKET": place, "ORCH_INSTANCE": here.name}
        child = subprocess.Popen(
            words, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        good = _ready(ready, child)
    os.unlink(place)
    if not good and (other := _other(here)):
        return other
    if not good:
        with open(log, encoding="utf-8", errors="replace") as file:
            file.seek(begin)
            said = file.read().strip().splitlines()
        raise Failed(f"orch: the daemon did not start: {said[-1] if said else 'it said nothing'} (see {log})")
    return child.pid


def _launch_unit(here: Instance) -> int:
    name = os.path.basename(place_of_unit(here))
    if subprocess.run(["systemctl", "start", name], stdin=subprocess.DEVNULL).returncode:
        raise Failed(f"orch: the daemon did not start (see: journalctl -u {name})")
    return _main_pid(name)


def _main_pid(name: str) -> int:
    """0 when the unit is not active."""
    shown = ["systemctl", "show", "--property=MainPID", "--value", name]
    return int(subprocess.run(shown, check=True, capture_output=True, text=True).stdout)


def _ready(ready: socket.socket, child: "subprocess.Popen[bytes]") -> bool:
    """Until it says READY=1 as to systemd, or ends."""
    import select

    pidfd = os.pidfd_open(child.pid)
    try:
        readable, _, _ = select.select([ready.fileno(), pidfd], [], [], START)
        return ready.fileno() in readable
    finally:
        os.close(pidfd)


def _other(here: Instance) -> int | None:
    """The pid of a daemon that began before ours and is not ready yet: `orch daemon` by hand, or by a unit."""
    end = time.monotonic() + START
    with open(os.path.join(here.state, LOCK), "a") as held:
        while time.monotonic() < end:
            if found := running(here):
                return int(found["pid"])
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
            else:
                return None  # it has ended, or there was none
    return None


def stop(args: argparse.Namespace, here: Instance) -> int:
    found = running(here)
    if found is None and args.all:
        launch(here, by_unit=False)  # only a daemon knows all that is there
        found = running(here)
    if found is None:
        print("orch: not running")
    else:
        _end(here, int(found["pid"]), everything=args.all)
        print(f"orch: stopped{' with all containers' if args.all else '; containers go on'}")
    if args.purge:
        if not args.all:
            raise Failed("orch system stop: --purge goes with --all (containers still use the state)")
        import shutil

        shutil.rmtree(here.state)
    return OK


def _end(here: Instance, pid: int, *, everything: bool) -> None:
    import select

    from orchestr.client.sync import Client

    pidfd = os.pidfd_open(pid)
    try:
        Client(here.socket).create(f"/orchestr.dev/v1/stop{'?all=true' if everything else ''}", {})
        if not select.select([pidfd], [], [], STOP)[0]:
            raise Failed(f"orch: the daemon (pid {pid}) did not end within {STOP:.0f} s (see {here.state}/daemon.log)")
    finally:
        os.close(pidfd)
    if os.path.exists(here.run if everything else here.socket):
        raise Failed(f"orch: the daemon (pid {pid}) did not end cleanly (see {here.state}/daemon.log)")


def status(args: argparse.Namespace, here: Instance) -> int:
    found = running(here) or {
        "running": False,
        "pid": None,
        "socket": here.socket,
        "state": here.state,
        "bridge": here.bridge,
    }
    found = {key: value for key, value in found.items() if key not in ("kind", "apiVersion")}
    if args.output:
        print(dump(found, args.output))
    else:
        for key, value in found.items():
            print(f"{key + ':':<16} {', '.join(value) if isinstance(value, list) else value}")
    return OK if found["running"] else FAILED


def check(args: argparse.Namespace, _here: Instance) -> int:
    from orchestr.cli.check import findings

    found = findings()
    if args.output:
        print(dump({"ok": all(each.good for each in found), "checks": [each._asdict() for each in found]}, args.output))
    else:
        for each in found:
            print(f"{'ok    ' if each.good else 'FAILED'} {each.name}: {each.text}")
    return OK if all(each.good for each in found) else FAILED


def place_of_unit(here: Instance) -> str:
    return UNIT.format(suffix=f"-{here.name}" if here.name else "")


def installed(here: Instance) -> bool:
    return os.path.isdir("/run/systemd/system") and os.path.exists(place_of_unit(here))


def install(_args: argparse.Namespace, here: Instance) -> int:
    if not os.path.isdir("/run/systemd/system"):
        raise Failed("orch: cannot install: systemd does not run here (use orch system start)")
    path = place_of_unit(here)
    with open(path, "w", encoding="utf-8") as file:
        file.write(unit(here))
    if (found := running(here)) and int(found["pid"]) != _main_pid(os.path.basename(path)):
        _end(here, int(found["pid"]), everything=False)  # the unit's daemon takes over from it
    for words in (["daemon-reload"], ["enable", "--now", os.path.basename(path)]):
        subprocess.run(["systemctl", *words], check=True)
    print(f"orch: installed {path}")
    return OK


def unit(here: Instance) -> str:
    """A unit whose stop leaves containers running: only the main process is signalled.

    When the machine itself goes down, containers are stopped first, in order and with their grace. systemd would only
    send SIGTERM to all that is left, which process 1 of a container mostly ignores, and wait 90 s before it kills them.
    """
    shutdown = f"exec {sys.executable} -m orchestr.cli system stop --all"
    return f"""\
[Unit]
Description=orch, containers from manifests{f" ({here.name})" if here.name else ""}
After=network-online.target local-fs.target
Wants=network-online.target

[Service]
Type=notify
Environment=ORCH_INSTANCE={here.name}
ExecStart={sys.executable} -m orchestr.cli daemon
ExecStop=/bin/sh -c 'test -z "$$MAINPID" || test "$$(systemctl is-system-running)" != stopping || {shutdown}'
TimeoutStartSec={START * 2:.0f}
TimeoutStopSec={STOP * 1.25:.0f}
Restart=on-failure
KillMode=process
Delegate=yes
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


def uninstall(_args: argparse.Namespace, here: Instance) -> int:
    path = place_of_unit(here)
    if not os.path.exists(path):
        raise Failed(f"orch: not installed: {path} does not exist")
    subprocess.run(["systemctl", "disable", "--now", os.path.basename(path)], check=True)
    os.unlink(path)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    print(f"orch: removed {path}; containers go on (orch system stop --all ends them)")
    return OK

"""Keys of Compose files whose meaning shows only in a container that runs."""

import os
import socket
from contextlib import closing

from e2e.checks import eventually
from e2e.project import Project

PROBE = """
services:
  probe:
    image: local/host
    hostname: probe.example.com
    extra_hosts: ["machine:host-gateway"]
    ulimits: {nofile: {soft: 300, hard: 400}, core: -1}
    devices: ["/dev/full:/dev/brimful"]
    group_add: ["4242"]
    dns_search: example.com
    dns_opt: ["timeout:3"]
    security_opt: ["seccomp=unconfined", "label=disable"]
    links: ["web:store"]
    logging: {driver: json-file, options: {max-size: 64k, max-file: "2"}}
    command:
      - /bin/sh
      - -c
      - |
        echo "host $$(uname -n); nofile $$(ulimit -Sn) $$(ulimit -Hn); core $$(ulimit -Hc); groups $$(id -G)"
        grep machine /etc/hosts
        cat /etc/resolv.conf
        cat /etc/hosts 2>&1 >/dev/brimful | grep -o "No space left"
        grep Seccomp: /proc/self/status
        getent hosts store >/dev/null && echo "store is found"
  web:
    image: local/host
    restart: always
    stop_signal: SIGKILL
    ports: ["8000"]
    command: [python3, -m, http.server, "8000"]
  shared:
    image: local/host
    network_mode: host
    pid: host
    ipc: host
    command: [/bin/sh, -c, "for kind in net pid ipc; do readlink /proc/self/ns/$$kind; done"]
"""


def test_what_is_said_in_the_file_holds_inside(project: Project) -> None:
    """Names, limits, devices, groups, resolver, links and shared namespaces are those of the file."""
    project.apply(PROBE)
    told = "\n".join(project.logged("store is found", "probe"))
    assert "host probe.example.com; nofile 300 400; core unlimited" in told
    assert "4242" in told
    assert "machine" in told
    assert "example.com" in told
    assert "options timeout:3" in told
    assert "No space left" in told
    assert "Seccomp:\t0" in told
    ours = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "pid", "ipc")]
    assert project.logged(ours[-1], "shared") == ours


def test_a_port_without_a_host_port_is_chosen_once(project: Project) -> None:
    """The machine chooses a port, tells it, leads it to the container, and keeps it."""
    project.apply(PROBE)
    place = project.orch("port", "web", "8000").expect().out.strip()
    assert place.startswith("0.0.0.0:")
    port = int(place.rpartition(":")[2])

    def answers() -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), 1)) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return connection.recv(4) == b"HTTP"
        except OSError:
            return False

    assert eventually(answers)
    project.apply(PROBE.replace("restart: always", "restart: always\n    environment: {NEW: '1'}"))
    assert project.orch("port", "web", "8000").expect().out.strip() == place

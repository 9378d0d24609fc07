"""`inside.py NETNS COMMAND ...`: small clients, servers and forgers, run in a network namespace."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(port: str, name: str) -> None:
    """Answers each line with its name until the client goes."""
    import threading

    server = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
    print("ready", flush=True)
    while True:
        connection, peer = server.accept()
        threading.Thread(target=echo, args=(connection, peer[0], name), daemon=True).start()


def echo(connection: socket.socket, peer: str, name: str) -> None:
    with connection, connection.makefile("rw") as file:
        for _ in file:
            file.write(f"{name} {peer.removeprefix('::ffff:')}\n")
            file.flush()


def udp(port: str, name: str) -> None:
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", int(port)))
    print("ready", flush=True)
    while True:
        _, peer = server.recvfrom(1000)
        server.sendto(f"{name} {peer[0].removeprefix('::ffff:')}".encode(), peer)


def ask(address: str, port: str) -> None:
    try:
        with socket.create_connection((address, int(port)), 2) as sock, sock.makefile("rw") as file:
            file.write("hello\n")
            file.flush()
            print(file.readline().strip() or "ConnectionResetError")
    except OSError as error:
        print(type(error).__name__)


def many(address: str, port: str) -> None:
    """The names of a hundred answers."""
    found: dict[str, int] = {}
    for _ in range(100):
        with socket.create_connection((address, int(port)), 2) as sock, sock.makefile("rw") as file:
            file.write("hello\n")
            file.flush()
            name = file.readline().split()[0]
            found[name] = found.get(name, 0) + 1
    print(json.dumps(found))


def keep(address: str, port: str) -> None:
    """One connection, a question for each line of input."""
    with socket.create_connection((address, int(port)), 2) as sock, sock.makefile("rw") as file:
        for _ in iter(sys.stdin.readline, ""):
            file.write("hello\n")
            file.flush()
            print(file.readline().strip(), flush=True)


def askudp(address: str, port: str, source: str = "0") -> None:
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.bind(("", int(source)))
        try:
            sock.connect((address, int(port)))
            sock.send(b"hello")
            print(sock.recv(1000).decode())
        except OSError as error:
            print(type(error).__name__)


def dig(server: str, name: str, kind: str, how: str) -> None:
    import dns.message
    import dns.query
    import dns.rcode

    query = dns.message.make_query(name, kind)
    answer = (dns.query.tcp if how == "tcp" else dns.query.udp)(query, server, timeout=5)
    found = sorted(str(record) for rrset in answer.answer for record in rrset)
    print(json.dumps([dns.rcode.to_text(answer.rcode()), found]))


def askdns(server: str, name: str) -> None:
    """`answered`, or the error's name."""
    import dns.message

    with socket.socket(family(server), socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        try:
            sock.connect((server, 53))
            sock.send(dns.message.make_query(name, "A").to_wire())
            sock.recv(4096)
            print("answered")
        except OSError as error:
            print(type(error).__name__)


def names(answers: str) -> None:
    """A name server on port 53, UDP and TCP: {name: address}; over UDP truncated when the name begins with "big"."""
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rrset

    known = json.loads(answers)

    def answer(data: bytes, udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        name = str(query.question[0].name).rstrip(".")
        reply = dns.message.make_response(query)
        if name not in known:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif udp and name.startswith("big"):
            reply.flags |= dns.flags.TC
        else:
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "A", known[name]))
        return reply.to_wire()

    serve_names(answer)


def serve_names(answer: Callable[[bytes, bool], bytes]) -> None:
    import threading

    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", 53))
    server = socket.create_server(("", 53))

    def streams() -> None:
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rwb") as file:
                while size := file.read(2):
                    reply = answer(file.read(int.from_bytes(size, "big")), False)
                    file.write(len(reply).to_bytes(2, "big") + reply)
                    file.flush()

    threading.Thread(target=streams, daemon=True).start()
    print("ready", flush=True)
    while True:
        data, peer = datagrams.recvfrom(4096)
        datagrams.sendto(answer(data, True), peer)


def frame(kind: str, hexadecimal: str) -> None:
    """Sends a raw Ethernet frame; only a pod with NET_RAW could."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        sock.send(bytes.fromhex(hexadecimal))
    print("sent", kind)


def sniff(link: str, needle: str) -> None:
    """Prints `ready`, then the first frame that holds these bytes, or `nothing` when a line comes in."""
    import select

    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    if link != "any":
        sock.bind((link, 3))
    print("ready", flush=True)
    while True:
        ready = select.select([sock, sys.stdin], [], [])[0]
        if sock in ready and bytes.fromhex(needle) in sock.recv(65535):
            print("seen")
            return
        if sock not in ready:
            print("nothing")
            return


def up() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def nft(*words: str) -> None:
    subprocess.run(["nft", *words], check=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def settings(*paths: str) -> None:
    print(json.dumps([Path("/proc/sys", path).read_text().strip() for path in paths]))


def setting(path: str, value: str) -> None:
    Path("/proc/sys", path).write_text(value)


def ruleset() -> None:
    text = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    print("\n".join(sorted(line.strip(" \t,") for line in text.splitlines())).strip())


def links() -> None:
    print(" ".join(name for _, name in socket.if_nameindex()))


def check() -> None:
    from orchestr.cli.check import forwarding

    print(json.dumps(forwarding()))


def ranges(name: str, *others: str) -> None:
    """What a new instance of this name would take here."""
    from ipaddress import IPv4Network

    from orchestr.daemon.ranges import choose, routes

    print(json.dumps([str(network) for network in choose(name, [*map(IPv4Network, others), *routes()])]))


def driver(*arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, str(Path(__file__).with_name("driver.py")), SPACE, *arguments])


SPACE = sys.argv[1]
COMMANDS = (
    tcp,
    udp,
    ask,
    many,
    keep,
    askudp,
    dig,
    frame,
    sniff,
    up,
    nft,
    ip,
    settings,
    setting,
    ruleset,
    links,
    check,
    ranges,
    names,
    askdns,
    driver,
)

if __name__ == "__main__":
    descriptor = os.open(SPACE, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
    {command.__name__: command for command in (*COMMANDS, driver)}[sys.argv[2]](*sys.argv[3:])

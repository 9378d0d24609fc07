"""OCI `linux.netDevices`: devices of the machine moved into the container's network namespace, by rtnetlink(7).

A device that leaves its namespace goes down, loses its addresses and its bridge: the permanent addresses of global
scope are noted before and given again. When the container cannot be made it comes back as it was, but for routes that
somebody added. From one that was made it is not moved back: what is hardware returns when the namespace ends.
"""

import errno
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

from orchestr.runtime import syscalls as sc
from orchestr.runtime.oci import log
from orchestr.runtime.seam import RuntimeFailure

_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22
_REQUEST, _ACK, _DUMP, _REPLACE, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x400
_ERROR, _DONE = 2, 3
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_NET_NS_FD = 3, 10, 28
_IFA_FLAGS, _KEPT = 8, (1, 2, 4)  # IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST
_PERMANENT, _UNIVERSE = 0x80, 0  # IFA_F_PERMANENT, RT_SCOPE_UNIVERSE
_UP: Final = 1
_NAME_ROOM: Final = 15  # IFNAMSIZ


class Address(NamedTuple):
    family: int
    prefix: int
    attributes: tuple[tuple[int, bytes], ...]


class Device(NamedTuple):
    """As it was."""

    name: str
    up: bool
    master: bytes  # number of the bridge that it is a port of, as rtnetlink has it; b"" for none
    addresses: tuple[Address, ...]


def check(config: Mapping[str, Any], kinds: frozenset[str]) -> None:
    """Before anything is made. RuntimeFailure."""
    devices = (config.get("linux") or {}).get("netDevices") or {}
    if devices and "network" not in kinds:
        raise _wrong("", "there is no network namespace", 'add {"type": "network"} to linux.namespaces')
    names = [str((item or {}).get("name") or device) for device, item in devices.items()]
    for name in names:
        if not 0 < len(os.fsencode(name)) <= _NAME_ROOM or name in (".", "..") or set(name) & set("/: \t\n\0"):
            raise _wrong(name, "no name of a network device", f"at most {_NAME_ROOM} bytes without '/', ':' and blanks")
        if "%" not in name and names.count(name) > 1:
            raise _wrong(name, "two devices would have this name", "give another")


def move(config: Mapping[str, Any], pid: int, undo: ExitStack) -> None:
    """Into the namespace of process `pid`, each set up. RuntimeFailure.

    What was moved returns if `undo` ends by an error.
    """
    for device, item in ((config.get("linux") or {}).get("netDevices") or {}).items():
        name = str((item or {}).get("name") or device)
        try:
            _move(device, name, pid, undo)
        except OSError as error:
            why = f"a device {name} is there already" if error.errno == errno.EEXIST else error.strerror or error
            raise _wrong(device, f"cannot move it to {name}: {why}", "does it exist, and may it move?") from error


def _move(device: str, name: str, pid: int, undo: ExitStack) -> None:
    import _socket

    index = _socket.if_nametoindex(device)
    ours = _Netlink()
    target = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    undo.callback(os.close, target)
    try:
        before = ours.device(index, device)
        with _inside(target):
            theirs = _Netlink()
            there = dict(_socket.if_nameindex())
        if name in there.values():  # the kernel would first move it, then refuse to give it the name
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        ours.link(index, attributes=((_IFLA_NET_NS_FD, struct.pack("i", target)), (_IFLA_IFNAME, _text(name))))
        with _inside(target):
            (moved,) = {number for number, _ in _socket.if_nameindex()} - set(there)

        def give_back(kind: object, _error: object, _trace: object) -> None:
            if kind:
                _return(before, moved, target)

        undo.push(give_back)
        for address in before.addresses:
            theirs.add(moved, address)
        theirs.link(moved, up=True)
        theirs.close()
    finally:
        ours.close()


def _return(device: Device, moved: int, target: int) -> None:
    """From namespace `target`, where its number is `moved`. What cannot be is logged: the cause of it all is told."""
    import _socket

    ours = _Netlink()
    try:
        with _inside(target):
            theirs = _Netlink()
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            here = ((_IFLA_NET_NS_FD, struct.pack("i", home)), (_IFLA_IFNAME, _text(device.name)))
            theirs.link(moved, attributes=here)
        finally:
            theirs.close()
            os.close(home)
        index = _socket.if_nametoindex(device.name)
        for address in device.addresses:
            ours.add(index, address)
        master = ((_IFLA_MASTER, device.master),) if device.master else ()
        ours.link(index, up=device.up, attributes=master)
    except OSError as error:
        log.warning(f"cannot give {device.name} back as it was: {error.strerror}")
    finally:
        ours.close()


@contextmanager
def _inside(target: int) -> Iterator[None]:
    """This process, which has one thread, in the namespace. What is opened there stays with it."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        sc.call("setns", target, sc.CLONE_NEWNET)
        try:
            yield
        finally:
            sc.call("setns", home, sc.CLONE_NEWNET)
    finally:
        os.close(home)


def _text(name: str) -> bytes:
    return os.fsencode(name) + b"\0"


class _Netlink:
    """A socket in the namespace that it was opened in."""

    def __init__(self) -> None:
        import _socket

        self._socket = _socket.socket(16, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0)  # AF_NETLINK, NETLINK_ROUTE

    def close(self) -> None:
        self._socket.close()

    def link(self, index: int, *, up: bool = False, attributes: tuple[tuple[int, bytes], ...] = ()) -> None:
        body = struct.pack("BxHiII", 0, 0, index, _UP if up else 0, _UP if up else 0)  # struct ifinfomsg
        self._ask(_NEWLINK, _ACK, body + _packed(attributes))

    def add(self, index: int, address: Address) -> None:
        body = struct.pack("BBBBi", address.family, address.prefix, 0, _UNIVERSE, index)  # struct ifaddrmsg
        self._ask(_NEWADDR, _ACK | _CREATE | _REPLACE, body + _packed(address.attributes))

    def device(self, index: int, name: str) -> Device:
        (body,) = self._ask(_GETLINK, _ACK, struct.pack("BxHiII", 0, 0, index, 0, 0))
        flags, attributes = struct.unpack_from("BxHiII", body)[3], dict(_attributes(body[16:]))
        return Device(name, bool(flags & _UP), attributes.get(_IFLA_MASTER, b""), tuple(self.addresses(index)))

    def addresses(self, index: int) -> list[Address]:
        """Those that last (config-linux.md "Network Devices")."""
        found = []
        for body in self._ask(_GETADDR, _DUMP, struct.pack("BBBBi", 0, 0, 0, 0, 0)):
            family, prefix, flags, scope, at = struct.unpack_from("BBBBi", body)
            attributes = dict(_attributes(body[8:]))
            flags = struct.unpack("I", attributes[_IFA_FLAGS])[0] if _IFA_FLAGS in attributes else flags
            if at == index and scope == _UNIVERSE and flags & _PERMANENT:
                kept = tuple((kind, value) for kind, value in attributes.items() if kind in _KEPT)
                found.append(Address(family, prefix, kept))
        return found

    def _ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """The bodies of the answer. OSError."""
        self._socket.send(struct.pack("IHHII", 16 + len(body), kind, flags | _REQUEST, 1, 0) + body)
        found: list[bytes] = []
        while True:
            data = self._socket.recv(1 << 16)
            while data:
                size, kind, _, _, _ = struct.unpack_from("IHHII", data)
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    code = -struct.unpack_from("i", data, 16)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return found
                found.append(data[16:size])
                data = data[(size + 3) & ~3 :]


def _packed(attributes: tuple[tuple[int, bytes], ...]) -> bytes:
    """struct rtattr each, padded to 4."""
    return b"".join(
        struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in attributes
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        size, kind = struct.unpack_from("HH", data)
        yield kind, data[4:size]
        data = data[(size + 3) & ~3 :]


def _wrong(device: str, cause: str, hint: str) -> RuntimeFailure:
    pointer = "/linux/netDevices" + (f"/{device}".replace("~", "~0") if device else "")
    return RuntimeFailure(f"cannot use {pointer}: {cause} ({hint})", reason="StartError")

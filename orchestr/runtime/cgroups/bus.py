"""systemd's manager over the system bus: starts, stops, changes a unit. See org.freedesktop.systemd1(5).

Imported only when --systemd-cgroup asks for it: jeepney costs 20 ms.
"""

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from jeepney import DBusAddress, HeaderFields, MatchRule, MessageType, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse

from orchestr.runtime.cgroups.properties import Property
from orchestr.runtime.seam import RuntimeFailure

SOCKET: Final = "unix:path=/run/dbus/system_bus_socket"
PATIENCE: Final = 30.0  # seconds for an answer, and for a job
_NAME: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = f"{_NAME}.Manager"


class Systemd:
    """A connection; a context manager. RuntimeFailure where systemd does not run, or refuses."""

    def __init__(self) -> None:
        address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", SOCKET)
        self._manager = DBusAddress(_PATH, bus_name=_NAME, interface=_MANAGER)
        try:
            self._bus: DBusConnection = open_dbus_connection(address)
        except (OSError, ValueError, RuntimeError) as error:
            raise RuntimeFailure(
                f"cannot use systemd: no system bus at {address}: {error} (leave --systemd-cgroup out)"
            ) from error

    def __enter__(self) -> "Systemd":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bus.close()

    def version(self) -> int:
        """systemd's, 0 when it cannot be told."""
        properties = DBusAddress(_PATH, bus_name=_NAME, interface="org.freedesktop.DBus.Properties")
        (value,) = self._reply(new_method_call(properties, "Get", "ss", (_MANAGER, "Version")), "version")
        digits = "".join(filter(str.isdigit, str(value[1]).split(".")[0].split("~")[0].split("-")[0]))
        return int(digits or 0)

    def start(self, unit: str, properties: Sequence[Property]) -> None:
        """StartTransientUnit, until the job is done."""
        self._job(unit, "StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "replace", list(properties), []))

    def stop(self, unit: str) -> None:
        """A unit that is not there is stopped."""
        try:
            self._job(unit, "StopUnit", "ss", (unit, "replace"))
        except NoSuchUnit:
            return

    def set(self, unit: str, properties: Sequence[Property]) -> None:
        """For as long as it runs."""
        call = new_method_call(self._manager, "SetUnitProperties", "sba(sv)", (unit, True, list(properties)))
        self._reply(call, unit)

    def _job(self, unit: str, method: str, signature: str, body: tuple[Any, ...]) -> None:
        """Signals are asked for first, so that the end of the job cannot be missed."""
        rule = MatchRule(type="signal", interface=_MANAGER, member="JobRemoved", path=_PATH)
        self._reply(new_method_call(self._manager, "Subscribe"), unit)
        self._reply(message_bus.AddMatch(rule), unit)
        with self._bus.filter(rule, bufsize=1024) as queue:
            (job,) = self._reply(new_method_call(self._manager, method, signature, body), unit)
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    _, path, _, result = self._bus.recv_until_filtered(queue, timeout=deadline - time.monotonic()).body
                except (TimeoutError, ValueError) as error:
                    raise RuntimeFailure(f"cannot change unit {unit}: systemd took more than {PATIENCE:g} s") from error
                if path == job:
                    break
        if result not in ("done", "skipped"):
            raise RuntimeFailure(f"cannot change unit {unit}: the job ended as {result} (see journalctl -u {unit})")

    def _reply(self, call: Any, unit: str) -> tuple[Any, ...]:
        try:
            reply = self._bus.send_and_get_reply(call, timeout=PATIENCE)
        except (OSError, TimeoutError) as error:
            raise RuntimeFailure(f"cannot change unit {unit}: {error or 'systemd does not answer'}") from error
        if reply.header.message_type is MessageType.error:
            known = NoSuchUnit if reply.header.fields.get(HeaderFields.error_name) == f"{_NAME}.NoSuchUnit" else None
            text = DBusErrorResponse(reply).data
            raise (known or RuntimeFailure)(f"cannot change unit {unit}: {text[0] if text else 'refused'}")
        body: tuple[Any, ...] = reply.body
        return body


class NoSuchUnit(RuntimeFailure):
    pass

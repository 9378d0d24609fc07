"""A system bus with a systemd on it, as far as the runtime speaks to it: real D-Bus messages on a real socket."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.low_level import Parser

MANAGER = DBusAddress("/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager")
JOB = "/org/freedesktop/systemd1/job/7"


class FakeBus:
    """`calls`: (method, body) of each call to the manager. `act` does what systemd would; its answer ends the job."""

    def __init__(self, path: Path, act: Callable[[str, Any], str]) -> None:
        self.address, self.calls = f"unix:path={path}", list[tuple[str, Any]]()
        self._act, self._serial = act, 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._authenticate(connection)
                parser = Parser()
                while data := connection.recv(4096):
                    parser.add_data(data)
                    while (message := parser.get_next_message()) is not None:
                        self._answer(connection, message)

    def _authenticate(self, connection: socket.socket) -> None:
        """SASL EXTERNAL, line by line (D-Bus specification, "Authentication Protocol")."""
        text = b""
        while not text.endswith(b"BEGIN\r\n"):
            part = connection.recv(1)
            text += part
            if text.endswith(b"\r\n") and b"AUTH" in text.splitlines()[-1]:
                connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")

    def _answer(self, connection: socket.socket, call: Message) -> None:
        member, interface = (call.header.fields.get(key) for key in (HeaderFields.member, HeaderFields.interface))
        if interface == "org.freedesktop.DBus":
            self._send(connection, new_method_return(call, *(("s", (":1.1",)) if member == "Hello" else ())))
            return
        self.calls.append((str(member), call.body))
        if member not in ("StartTransientUnit", "StopUnit"):
            self._send(connection, new_method_return(call))
            return
        result = self._act(str(member), call.body)
        if "." in result:
            self._send(connection, new_error(call, result, "s", ("it is not loaded",)))
            return
        self._send(connection, new_method_return(call, "o", (JOB,)))
        for job in ("/org/freedesktop/systemd1/job/6", JOB):
            signal = new_signal(MANAGER, "JobRemoved", "uoss", (7, job, call.body[0], result))
            signal.header.fields[HeaderFields.sender] = ":1.0"
            self._send(connection, signal)

    def _send(self, connection: socket.socket, message: Message) -> None:
        self._serial += 1
        assert message.header.message_type is not MessageType.method_call
        connection.sendall(message.serialise(serial=self._serial))

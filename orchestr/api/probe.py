"""Probes and container life cycle (core/v1)."""

from orchestr.api.base import Items, Model
from orchestr.api.meta import IntOrString


class ExecAction(Model):
    command: Items[str] = ()


class HTTPHeader(Model):
    name: str
    value: str


class HTTPGetAction(Model):
    path: str = "/"
    port: IntOrString  # a number, or the name of a port of the container
    host: str | None = None  # None: the pod's address
    scheme: str = "HTTP"  # HTTP, HTTPS (certificates are not verified, as in Kubernetes)
    http_headers: Items[HTTPHeader] = ()


class TCPSocketAction(Model):
    port: IntOrString
    host: str | None = None


class Probe(Model):
    """Exactly one of exec, http_get, tcp_socket. Times in seconds."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class Lifecycle(Model):
    stop_signal: str | None = None  # "SIGTERM"; None: the image's, else SIGTERM

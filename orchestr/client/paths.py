"""Where a resource stands: Kubernetes' paths, and how a host is written."""

from collections.abc import Mapping
from typing import NamedTuple

from orchestr.client.credentials import Credentials

UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
IMAGES = "/orchestr.dev/v1/images"
ESCAPES = [chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in range(256)]


class Address(NamedTuple):
    """A daemon's address: a unix socket (port 0) or a TCP host, with TLS for https."""

    host: str
    port: int
    tls: Credentials | None = None


def quote(text: str) -> str:
    """Percent-encoding; urllib.parse would cost a command 3 ms to import."""
    return "".join([ESCAPES[byte] for byte in text.encode()])


def path(
    plural: str, namespace: str | None = None, name: str = "", *, group: str = "", version: str = "v1", sub: str = ""
) -> str:
    """`path("deployments", "shop", "web", group="apps")` is /apis/apps/v1/namespaces/shop/deployments/web.

    namespace None: a cluster-scoped kind, or all namespaces.
    """
    parts = ["/apis", group, version] if group else ["/api", version]
    if namespace:
        parts += ["namespaces", quote(namespace)]
    return "/".join([*parts, plural, *([quote(name)] if name else []), *([sub] if sub else [])])


def in_pod(namespace: str, pod: str, part: str) -> str:
    """`signal` and `processes` of a pod, for which Kubernetes has no path."""
    return f"/orchestr.dev/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/{part}"


def with_query(target: str, query: Mapping[str, object]) -> str:
    """Appends the parameters that are not None; True is "true", a list is repeated."""
    pairs: list[tuple[str, object]] = []
    for key, value in query.items():
        pairs += [(key, item) for item in (value if isinstance(value, list | tuple) else [value]) if item is not None]
    if not pairs:
        return target
    text = "&".join(
        f"{quote(key)}={str(value).lower() if isinstance(value, bool) else quote(str(value))}" for key, value in pairs
    )
    return f"{target}{'&' if '?' in target else '?'}{text}"


def address(host: str | Address) -> Address:
    """Of "/run/orch/orch.sock", "unix:///run/orch/orch.sock", "http://127.0.0.1:8001" or "https://[::1]:6443".

    ValueError else. One that is an Address already is itself.
    """
    if isinstance(host, Address):
        return host
    if host.startswith("/"):
        return Address(host, 0)
    if host.startswith("unix:"):
        return Address("/" + host.removeprefix("unix:").lstrip("/"), 0)
    scheme, _, rest = host.partition("://")
    if scheme in ("http", "https"):
        name, _, port = rest.rstrip("/").rpartition(":")
        if scheme == "https" and not name and port:
            name, port = port, "443"
        if name and port.isdecimal() and 0 < int(port) < 65536 and "/" not in name:
            return Address(name.strip("[]"), int(port), Credentials() if scheme == "https" else None)
    raise ValueError(
        f"cannot use host {host!r}: neither a socket nor a URL (give unix:///PATH, http://HOST:PORT or https://HOST:PORT)"
    )

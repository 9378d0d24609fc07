"""A kubeconfig file (client-go's v1 Config) read: which server, who we are there, which namespace."""

import os
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestr.client.credentials import Credentials
from orchestr.client.paths import Address, address

NOT_DONE = {
    "exec": "a program that fetches credentials",
    "auth-provider": "a plug-in that fetches credentials",
    "username": "a password",
    "password": "a password",
    "as": "impersonation",
}


class BadConfig(ValueError):
    """Text as "cannot use FILE: CAUSE (WHAT TO DO)"."""


class Place(NamedTuple):
    address: Address
    namespace: str  # "" where the context names none


def load(path: str, context: str = "") -> Place:
    """The server of `context`, else of the file's current one. BadConfig."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            data = yaml.safe_load(file)
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {(error.strerror or str(error)).lower()} (give another file)") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfig(f"cannot use {path}: no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise BadConfig(f"cannot use {path}: no kubeconfig (make one: orch kubeconfig)")
    try:
        return _place(data, context, os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        raise BadConfig(f"cannot use {path}: {error.filename}: {(error.strerror or '').lower()}") from error
    except ValueError as error:
        raise BadConfig(f"cannot use {path}: {error}") from error


def _place(data: Mapping[str, Any], wanted: str, folder: str) -> Place:
    name = wanted or str(data.get("current-context") or "")
    if not name:
        raise ValueError("it has no current context (name one: --context NAME)")
    context = _named(data, "contexts", "context", name)
    cluster = _named(data, "clusters", "cluster", str(context.get("cluster") or ""))
    user = _named(data, "users", "user", str(context["user"])) if context.get("user") else {}
    for field, what in NOT_DONE.items():
        if user.get(field):
            raise ValueError(f"{what} ({field}) is not supported (use a certificate or a token)")
    if cluster.get("proxy-url"):
        raise ValueError("proxy-url is not supported")
    found = address(str(cluster.get("server") or ""))
    if found.tls is not None:
        found = found._replace(tls=_credentials(cluster, user, folder))
    return Place(found, str(context.get("namespace") or ""))


def _named(data: Mapping[str, Any], plural: str, field: str, name: str) -> Mapping[str, Any]:
    entries = data.get(plural) or []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(field) or {}
            if isinstance(found, dict):
                return found
    raise ValueError(f"there is no {field} called {name!r}")


def _credentials(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: str) -> Credentials:
    token_file = str(user.get("tokenFile") or "")
    return Credentials(
        ca=_pem(cluster, "certificate-authority", folder),
        certificate=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
        token=str(user.get("token") or ""),
        token_file=os.path.join(folder, token_file) if token_file else "",
        server_name=str(cluster.get("tls-server-name") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _pem(where: Mapping[str, Any], field: str, folder: str) -> str:
    """The data in the file itself before the file that it names, as client-go takes it."""
    if data := where.get(f"{field}-data"):
        return b64decode(data, validate=True).decode()
    if name := where.get(field):
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return file.read()
    return ""

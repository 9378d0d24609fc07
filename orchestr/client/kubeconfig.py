"""A kubeconfig file (client-go's v1 Config) read: which server, who we are there, which namespace."""

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestr.client.credentials import Credentials
from orchestr.client.paths import Address, address

if TYPE_CHECKING:
    from orchestr.client.execplugin import Plugin

FOLDER = "\0folder"  # no key of a file has a NUL

NOT_DONE = {
    "auth-provider": "a plug-in that fetches credentials",
    "username": "a password",
    "password": "a password",
    "as-uid": "impersonation by uid",
    "as-user-extra": "impersonation with extra fields",
}


class BadConfig(ValueError):
    """Text as "cannot use FILE: CAUSE (WHAT TO DO)"."""


class Place(NamedTuple):
    address: Address
    namespace: str  # "" where the context names none


def usual() -> Sequence[str]:
    """Where kubectl looks: the files of $KUBECONFIG that are there, else ~/.kube/config."""
    named = [file for file in os.environ.get("KUBECONFIG", "").split(os.pathsep) if file]
    return [file for file in named if os.path.exists(file)] or named[:1] or [os.path.expanduser("~/.kube/config")]


def load(paths: str | Sequence[str], context: str = "") -> Place:
    """The server of `context`, else of the current one; of several files the first that names it wins. BadConfig."""
    files = [paths] if isinstance(paths, str) else paths
    data: dict[str, Any] = {}
    for file in files:
        read = _read(file)
        for plural in ("clusters", "contexts", "users"):
            data.setdefault(plural, []).extend(read.get(plural) or ())
        data["current-context"] = data.get("current-context") or read.get("current-context")
    path = os.pathsep.join(files)
    try:
        return _place(data, context)
    except OSError as error:
        raise BadConfig(f"cannot use {path}: {error.filename}: {(error.strerror or '').lower()}") from error
    except ValueError as error:
        raise BadConfig(f"cannot use {path}: {error}") from error


def _read(path: str) -> dict[str, Any]:
    """A file; each of its entries bears as FOLDER where the file is, from which relative paths start."""
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
    for plural in ("clusters", "contexts", "users"):
        entries = data.get(plural) or []
        if not isinstance(entries, list):
            raise BadConfig(f"cannot use {path}: {plural} is no list")
        for entry in entries:
            if isinstance(entry, dict):
                entry[FOLDER] = os.path.dirname(os.path.abspath(path))
    return data


def _place(data: Mapping[str, Any], wanted: str) -> Place:
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
        found = found._replace(tls=_credentials(cluster, user))
    return Place(found, str(context.get("namespace") or ""))


def _named(data: Mapping[str, Any], plural: str, field: str, name: str) -> Mapping[str, Any]:
    entries = data.get(plural) or []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(field) or {}
            if isinstance(found, dict):
                return {**found, FOLDER: entry[FOLDER]}
    raise ValueError(f"there is no {field} called {name!r}")


def _credentials(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Credentials:
    token_file = str(user.get("tokenFile") or "")
    ca = _pem(cluster, "certificate-authority")
    return Credentials(
        ca=ca,
        certificate=_pem(user, "client-certificate"),
        key=_pem(user, "client-key"),
        token=str(user.get("token") or ""),
        token_file=os.path.join(user[FOLDER], token_file) if token_file else "",
        server_name=str(cluster.get("tls-server-name") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        plugin=_plugin(user["exec"], cluster, ca, user[FOLDER]) if user.get("exec") else None,
        acting=_acting(user),
    )


def _plugin(spec: Mapping[str, Any], cluster: Mapping[str, Any], ca: str, folder: str) -> "Plugin":
    from orchestr.client.execplugin import Plugin

    told = {key: cluster[key] for key in ("server", "tls-server-name", "insecure-skip-tls-verify") if key in cluster}
    if ca:
        told["certificate-authority-data"] = b64encode(ca.encode()).decode()
    for each in cluster.get("extensions") or ():
        if each.get("name") == "client.authentication.k8s.io/exec":
            told["config"] = each.get("extension")
    return Plugin(spec, told, folder)


def _acting(user: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    groups = user.get("as-groups") or ()
    if len(groups) > 1:
        raise ValueError("impersonation of several groups (as-groups) is not supported (give one)")
    named = [("impersonate-user", str(user["as"]))] if user.get("as") else []
    return (*named, *(("impersonate-group", str(group)) for group in groups))


def _pem(where: Mapping[str, Any], field: str) -> str:
    """The data in the file itself before the file that it names, as client-go takes it."""
    if data := where.get(f"{field}-data"):
        return b64decode(data, validate=True).decode()
    if name := where.get(field):
        with open(os.path.join(where[FOLDER], name), encoding="ascii") as file:
            return file.read()
    return ""

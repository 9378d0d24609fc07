"""Credentials from a program (client.authentication.k8s.io): what `exec` in a kubeconfig's user names.

The program prints an ExecCredential with a token, or a certificate and its key; it is run when they are first needed,
and again once they have expired. Cloud providers' clusters are reached so. Errors are ValueErrors as "cannot VERB ...".
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
EARLY = 10.0  # seconds before its end from which on a credential counts as expired


class Credential(NamedTuple):
    token: str
    certificate: str  # PEM, as is the key
    key: str
    expires: float  # seconds since the epoch; infinite where the program says nothing


class Plugin:
    """The `exec` of one user; `cluster` is told to the program where it asks for it. ValueError for a bad one."""

    def __init__(self, spec: Mapping[str, Any], cluster: Mapping[str, Any], folder: str) -> None:
        self.version, command = str(spec.get("apiVersion") or ""), str(spec.get("command") or "")
        if self.version not in VERSIONS:
            raise ValueError(f"exec.apiVersion {self.version!r} is not supported (there are {' and '.join(VERSIONS)})")
        if not command:
            raise ValueError("exec names no command")
        # One with a slash is relative to the file, as client-go has it; one without is looked for in PATH.
        self.words = [os.path.join(folder, command) if "/" in command else command, *(spec.get("args") or ())]
        self.env = {str(each["name"]): str(each["value"]) for each in spec.get("env") or ()}
        self.hint = str(spec.get("installHint") or "").strip()
        self.mode = str(spec.get("interactiveMode") or "IfAvailable")
        self.cluster = cluster if spec.get("provideClusterInfo") else None
        self._held: Credential | None = None

    def credential(self) -> Credential:
        from time import time

        if self._held is None or self._held.expires - EARLY <= time():
            self._held = self._run()
        return self._held

    def _run(self) -> Credential:
        import subprocess

        interactive = self.mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
        if self.mode == "Always" and not interactive:
            raise ValueError(f"cannot run {self.words[0]}: it wants to ask, and there is no terminal")
        spec = {"interactive": interactive, **({"cluster": self.cluster} if self.cluster else {})}
        info = json.dumps({"apiVersion": self.version, "kind": "ExecCredential", "spec": spec})
        env = {**os.environ, **self.env, "KUBERNETES_EXEC_INFO": info}
        try:
            done = subprocess.run(
                self.words, env=env, stdin=None if interactive else subprocess.DEVNULL, stdout=subprocess.PIPE
            )
        except OSError as error:
            hint = f" ({self.hint})" if self.hint else ""
            raise ValueError(f"cannot run {self.words[0]}: {(error.strerror or str(error)).lower()}{hint}") from error
        if done.returncode:
            raise ValueError(f"cannot get credentials: {self.words[0]} ended with exit code {done.returncode}")
        return self._read(done.stdout)

    def _read(self, printed: bytes) -> Credential:
        try:
            answer = json.loads(printed)
            status, version = answer.get("status") or {}, answer.get("apiVersion")
        except (ValueError, AttributeError) as error:
            raise ValueError(f"cannot get credentials: {self.words[0]} printed no ExecCredential") from error
        if version != self.version:
            raise ValueError(f"cannot get credentials: {self.words[0]} answered in {version!r}, not {self.version}")
        token, certificate = str(status.get("token") or ""), str(status.get("clientCertificateData") or "")
        if not (token or certificate):
            raise ValueError(f"cannot get credentials: {self.words[0]} gave neither a token nor a certificate")
        key = str(status.get("clientKeyData") or "")
        return Credential(token, certificate, key, _moment(str(status.get("expirationTimestamp") or "")))


def _moment(text: str) -> float:
    from datetime import datetime

    if not text:
        return float("inf")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise ValueError(f"cannot get credentials: expirationTimestamp {text!r} is no time") from error

"""Calls of webhooks over https: one thread for each call, bounded in time and size, so that nobody else waits.

The answer of a webhook that cannot be reached or talks nonsense is a failure; its failurePolicy decides
what that means.
"""

import base64
import json
import logging
import socket
import ssl
import uuid
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

from orchestr.api.webhooks import WebhookClientConfig
from orchestr.store.attempt import Answer, Question
from orchestr.store.caller import Caller

log = logging.getLogger(__name__)

ANNOTATION = 10 * 1024  # characters of an audit annotation
LIMIT = 8 * 1024 * 1024  # bytes of an answer
Resolve = Callable[[str, str, int], tuple[str, int]]  # a Service's namespace, name, port -> address; raises LookupError


class Nonsense(Exception):
    """The webhook's answer is none."""


class Target(NamedTuple):
    host: str  # to connect to
    port: int
    name: str  # that the certificate has to have
    path: str
    shown: str


async def ask(question: Question, caller: Caller, resolve: Resolve, *, dry_run: bool) -> Answer:
    """The webhook's answer, or its failure. Its warnings go to the caller."""
    request = {**question.review["request"], "uid": str(uuid.uuid4()), "userInfo": caller.user, "dryRun": dry_run}
    body = json.dumps({**question.review, "request": request}).encode()
    hook = question.hook
    shown, seconds = hook.client_config.url or "", hook.timeout_seconds or 10
    try:
        target = place(hook.client_config, resolve)
        shown = target.shown
        with trio.fail_after(seconds):
            data = await trio.to_thread.run_sync(
                _post, target, hook.client_config.ca_bundle, body, seconds, abandon_on_cancel=True
            )
        return answer(data, request["uid"], hook.name, caller.warnings)
    except trio.TooSlowError:
        why = "context deadline exceeded"
    except (OSError, LookupError, HTTPException, ValueError, Nonsense) as error:
        why = str(error) or type(error).__name__
    return Answer(failure=f'failed to call webhook: Post "{shown}?timeout={seconds}s": {why}')


def place(client: WebhookClientConfig, resolve: Resolve) -> Target:
    """Where to call. Raises LookupError for a Service that is not there."""
    if client.service is not None:
        service, port = client.service, client.service.port or 443
        name = f"{service.name}.{service.namespace}.svc"
        shown = f"https://{name}:{port}{service.path or '/'}"
        host, port = resolve(service.namespace, service.name, port)
        return Target(host, port, name, service.path or "/", shown)
    url = urlsplit(client.url or "")
    return Target(url.hostname or "", url.port or 443, url.hostname or "", url.path or "/", client.url or "")


def answer(data: bytes, uid: str, name: str, warnings: list[str]) -> Answer:
    """What an AdmissionReview says. Raises Nonsense."""
    try:
        review = json.loads(data)
        response = review["response"]
        if review.get("kind") != "AdmissionReview" or not isinstance(response, Mapping):
            raise Nonsense("expected an AdmissionReview with a response")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Nonsense(f"the answer is no AdmissionReview with a response ({type(error).__name__})") from error
    if response.get("uid") != uid:
        raise Nonsense(f"expected response.uid={uid!r}, got {response.get('uid')!r}")
    warnings.extend(str(text) for text in response.get("warnings") or ())
    for key, value in dict(response.get("auditAnnotations") or {}).items():
        log.info("audit annotation %s/%s: %s", name, key, json.dumps(str(value)[:ANNOTATION]))
    status = response.get("status") or {}
    if response.get("allowed") is not True:
        code = status.get("code")
        code = code if isinstance(code, int) and 400 <= code < 600 else 403
        return Answer(False, str(status.get("message") or ""), code, str(status.get("reason") or ""))
    if response.get("patch") is None:
        return Answer()
    if response.get("patchType") != "JSONPatch":
        raise Nonsense(f"patchType {response.get('patchType')!r} is not JSONPatch")
    try:
        return Answer(patch=json.loads(base64.b64decode(response["patch"], validate=True)))
    except (ValueError, TypeError) as error:
        raise Nonsense("the patch is no JSON in base64") from error


def _post(target: Target, bundle: str | None, body: bytes, seconds: float) -> bytes:
    context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
    headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "orch"}
    with (
        socket.create_connection((target.host, target.port), seconds) as plain,
        context.wrap_socket(plain, server_hostname=target.name) as secured,
    ):
        connection = HTTPConnection(target.name, target.port)
        connection.sock = secured
        connection.request("POST", f"{target.path}?timeout={seconds}s", body, headers)
        response = connection.getresponse()
        data = response.read(LIMIT + 1)
    if response.status != 200:
        raise Nonsense(f"the server answered {response.status} {response.reason}")
    if len(data) > LIMIT:
        raise Nonsense("the answer is too large")
    return data

"""Rules for webhook configurations. Source: pkg/apis/admissionregistration/validation of Kubernetes."""

import base64
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from orchestr.api import names
from orchestr.api.base import KubeObject
from orchestr.api.errors import Cause
from orchestr.api.metarules import check_selector
from orchestr.api.policyrules import check_rule, match_conditions
from orchestr.api.rules import duplicates, one_of, port_number, required, wrong
from orchestr.api.webhooks import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
    WebhookClientConfig,
)

VERSIONS = ("v1",)  # of AdmissionReview


def _configuration(config: MutatingWebhookConfiguration | ValidatingWebhookConfiguration) -> Iterator[Cause]:
    for index, hook in enumerate(config.webhooks):
        yield from _hook(hook, f"webhooks[{index}]")
    yield from duplicates(((f"webhooks[{i}].name", hook.name) for i, hook in enumerate(config.webhooks)), "webhook")


def _hook(hook: ValidatingWebhook, at: str) -> Iterator[Cause]:
    if hook.name.count(".") < 2:
        yield Cause(f"{at}.name", f"must have three parts or more between dots, not {hook.name!r}")
    yield from wrong(f"{at}.name", names.dns_subdomain(hook.name))
    yield from one_of(f"{at}.failurePolicy", hook.failure_policy, ("Fail", "Ignore"))
    yield from one_of(f"{at}.matchPolicy", hook.match_policy, ("Exact", "Equivalent"))
    yield from one_of(f"{at}.sideEffects", hook.side_effects, ("None", "NoneOnDryRun"))
    if isinstance(hook, MutatingWebhook):
        yield from one_of(f"{at}.reinvocationPolicy", hook.reinvocation_policy, ("Never", "IfNeeded"))
    if hook.timeout_seconds is not None and not 1 <= hook.timeout_seconds <= 30:
        yield Cause(f"{at}.timeoutSeconds", f"must be from 1 to 30, not {hook.timeout_seconds}")
    if not set(hook.admission_review_versions) & set(VERSIONS):
        yield Cause(f"{at}.admissionReviewVersions", f"must include at least one of {', '.join(VERSIONS)}")
    yield from match_conditions(hook.match_conditions, f"{at}.matchConditions")
    for field, selector in (("namespaceSelector", hook.namespace_selector), ("objectSelector", hook.object_selector)):
        if selector is not None:
            yield from check_selector(selector, f"{at}.{field}")
    yield from _client(hook.client_config, f"{at}.clientConfig")
    for index, rule in enumerate(hook.rules):
        yield from check_rule(rule, f"{at}.rules[{index}]")


def _client(client: WebhookClientConfig, at: str) -> Iterator[Cause]:
    if (client.url is None) == (client.service is None):
        yield required(at, "exactly one of url or service is required")
    if client.url is not None:
        url = urlsplit(client.url)
        if url.scheme != "https" or not url.hostname or url.username or url.fragment or url.query:
            message = "must be https://HOST[:PORT]/PATH without user, query and fragment"
            yield Cause(f"{at}.url", f"{message}, not {client.url!r}")
    if client.service is not None:
        yield from port_number(f"{at}.service.port", client.service.port)
        if client.service.path and not client.service.path.startswith("/"):
            yield Cause(f"{at}.service.path", "must start with a '/'")
    if client.ca_bundle:
        try:
            pem = base64.b64decode(client.ca_bundle, validate=True)
        except ValueError:
            pem = b""
        if b"-----BEGIN CERTIFICATE-----" not in pem:
            yield Cause(f"{at}.caBundle", "holds no certificate in PEM")


RULES: dict[type[KubeObject], Callable[[Any], Iterator[Cause]]] = {
    MutatingWebhookConfiguration: _configuration,
    ValidatingWebhookConfiguration: _configuration,
}

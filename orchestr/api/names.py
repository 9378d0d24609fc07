"""The syntax of names and labels. Each function returns what is wrong, or "".

Sources: RFC 1123, RFC 1035; apimachinery pkg/util/validation.
"""

import re

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
ENV_NAME = re.compile(r"[^=\x00-\x1f\x7f]+")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?!.*--)(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def _suggest(text: str) -> str:
    """The nearest DNS label, as a hint."""
    nearest = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-")
    return f" (write {nearest})" if nearest and nearest != text else ""


def dns_label(text: str) -> str:
    if LABEL.fullmatch(text):
        return ""
    return f"{text!r} is no DNS label: at most 63 lower case letters, digits and '-'{_suggest(text)}"


def dns_subdomain(text: str) -> str:
    if len(text) <= 253 and SUBDOMAIN.fullmatch(text):
        return ""
    return f"{text!r} is no DNS name: at most 253 lower case letters, digits, '-' and '.'{_suggest(text)}"


def label_key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if (slash and (not prefix or dns_subdomain(prefix))) or not QUALIFIED.fullmatch(name):
        return f"{text!r} is no label key: at most 63 letters, digits, '-', '_', '.', after an optional DNS name and /"
    return ""


def label_value(text: str) -> str:
    if VALUE.fullmatch(text):
        return ""
    return f"{text!r} is no label value: at most 63 letters, digits, '-', '_', '.', a letter or digit at both ends"


def config_key(text: str) -> str:
    if CONFIG_KEY.fullmatch(text) and text not in (".", "..") and not text.startswith(".."):
        return ""
    return f"{text!r} is no key: at most 253 letters, digits, '-', '_', '.', not starting with '..'"


def env_name(text: str) -> str:
    return (
        "" if ENV_NAME.fullmatch(text) else f"{text!r} is no variable name: empty, or with '=' or a control character"
    )


def port_name(text: str) -> str:
    if PORT_NAME.fullmatch(text):
        return ""
    return f"{text!r} is no port name: at most 15 lower case letters, digits and single '-', with at least one letter"

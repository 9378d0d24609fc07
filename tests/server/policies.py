"""Admission policies and bindings as they are sent."""

from typing import Any

GROUP = "/apis/admissionregistration.k8s.io/v1"
VERSION = "admissionregistration.k8s.io/v1"


def path(kind: str) -> str:
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"{GROUP}/{plural.lower()}"


def rule(resource: str = "configmaps", group: str = "", *operations: str) -> dict[str, Any]:
    made = list(operations) or ["CREATE", "UPDATE"]
    return {"operations": made, "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource]}


def policy(
    *validations: dict[str, Any] | str, name: str = "p", rules: Any = None, kind: str = "Validating", **spec: Any
) -> dict[str, Any]:
    found = [each if isinstance(each, dict) else {"expression": each} for each in validations]
    given = {"matchConstraints": {"resourceRules": rules or [rule()]}, **({"validations": found} if found else {})}
    return {
        "apiVersion": VERSION,
        "kind": f"{kind}AdmissionPolicy",
        "metadata": {"name": name},
        "spec": {**given, **spec},
    }


def binding(*actions: str, name: str = "b", of: str = "p", kind: str = "Validating", **spec: Any) -> dict[str, Any]:
    more = {"validationActions": list(actions or ["Deny"])} if kind == "Validating" else {}
    return {
        "apiVersion": VERSION,
        "kind": f"{kind}AdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": of, **more, **spec},
    }

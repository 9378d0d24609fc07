"""Rules for CustomResourceDefinitions, and what defaulting fills in.

Source: staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions of Kubernetes, v1/defaults.go, validation.
"""

from collections.abc import Iterator

from orchestr.api import names
from orchestr.api.definition import (
    CustomResourceConversion,
    CustomResourceDefinition,
    CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion,
)
from orchestr.api.errors import Cause
from orchestr.api.otherdefaults import changed
from orchestr.api.rules import duplicates, one_of, required, wrong
from orchestr.api.structural import structural

APPROVED = "api-approved.kubernetes.io"  # annotation that groups of Kubernetes' own need
COLUMNS = ("integer", "number", "string", "boolean", "date")


def default(crd: CustomResourceDefinition) -> CustomResourceDefinition:
    given = crd.spec.names
    filled = changed(
        given, singular=given.singular or given.kind.lower(), list_kind=given.list_kind or f"{given.kind}List"
    )
    conversion = crd.spec.conversion or CustomResourceConversion(strategy="None")
    return changed(crd, spec=changed(crd.spec, names=filled, conversion=conversion))


def validate(crd: CustomResourceDefinition) -> Iterator[Cause]:
    spec = crd.spec
    wanted = f"{spec.names.plural}.{spec.group}"
    if crd.metadata.name != wanted:
        yield Cause("metadata.name", f'must be spec.names.plural+"."+spec.group ({wanted})')
    yield from wrong("spec.group", names.dns_subdomain(spec.group))
    if "." not in spec.group:
        yield Cause("spec.group", "should be a domain with at least one dot")
    protected = spec.group in ("k8s.io", "kubernetes.io") or spec.group.endswith((".k8s.io", ".kubernetes.io"))
    if protected and not crd.metadata.annotations.get(APPROVED):
        field = f"metadata.annotations[{APPROVED}]"
        yield required(field, "protected groups must have approval annotation")
    yield from one_of("spec.scope", spec.scope, ("Cluster", "Namespaced"))
    if spec.preserve_unknown_fields:
        message = "cannot set to true (use x-kubernetes-preserve-unknown-fields in the schema)"
        yield Cause("spec.preserveUnknownFields", message)
    yield from _names(spec)
    yield from _conversion(spec.conversion)
    yield from _versions(spec)


def _names(spec: CustomResourceDefinitionSpec) -> Iterator[Cause]:
    given = spec.names
    lower = [("plural", given.plural), ("singular", given.singular or "")]
    lower += [(f"shortNames[{i}]", name) for i, name in enumerate(given.short_names)]
    lower += [(f"categories[{i}]", name) for i, name in enumerate(given.categories)]
    for field, name in lower:
        if name:
            yield from wrong(f"spec.names.{field}", names.dns_label(name))
    for field, name in (("kind", given.kind), ("listKind", given.list_kind or "")):
        if name:
            yield from wrong(f"spec.names.{field}", names.dns_label(name.lower()))
    if not given.kind:
        yield required("spec.names.kind")
    if given.kind == given.list_kind:
        yield Cause("spec.names.listKind", "kind and listKind may not be the same")


def _conversion(conversion: CustomResourceConversion | None) -> Iterator[Cause]:
    if conversion is None:
        return
    if conversion.strategy == "Webhook":
        message = "not supported: Webhook; versions differ only in apiVersion (write None)"
        yield Cause("spec.conversion.strategy", message, "FieldValueForbidden")
        return
    yield from one_of("spec.conversion.strategy", conversion.strategy, ("None",))
    if conversion.webhook:
        yield Cause("spec.conversion.webhook", "must not be set without strategy Webhook", "FieldValueForbidden")


def _versions(spec: CustomResourceDefinitionSpec) -> Iterator[Cause]:
    versions = spec.versions
    if sum(version.storage for version in versions) != 1:
        yield Cause("spec.versions", "must have exactly one version marked as storage version")
    yield from duplicates(((f"spec.versions[{i}].name", v.name) for i, v in enumerate(versions)), "version")
    for index, version in enumerate(versions):
        yield from _version(version, f"spec.versions[{index}]")


def _version(version: CustomResourceDefinitionVersion, at: str) -> Iterator[Cause]:
    yield from wrong(f"{at}.name", names.dns_label(version.name))
    if version.schema_ is None or version.schema_.open_api_v3_schema is None:
        yield required(f"{at}.schema.openAPIV3Schema", "schemas are required")
    else:
        yield from structural(version.document, f"{at}.schema.openAPIV3Schema")
    if version.deprecation_warning and not version.deprecated:
        yield Cause(f"{at}.deprecationWarning", "can only be set for deprecated versions")
    if version.selectable_fields:
        message = "not supported: custom resources are selected by labels, metadata.name and metadata.namespace"
        yield Cause(f"{at}.selectableFields", message, "FieldValueForbidden")
    for index, column in enumerate(version.additional_printer_columns):
        where = f"{at}.additionalPrinterColumns[{index}]"
        yield from one_of(f"{where}.type", column.type, COLUMNS)
        if not column.name:
            yield required(f"{where}.name")
        if not column.json_path.startswith("."):
            yield Cause(f"{where}.jsonPath", f"must be a JSON path such as .spec.replicas, not {column.json_path!r}")
    scale = version.subresources.scale if version.subresources else None
    if scale is not None:
        for field, path, root in (
            ("specReplicasPath", scale.spec_replicas_path, (".spec.",)),
            ("statusReplicasPath", scale.status_replicas_path, (".status.",)),
            ("labelSelectorPath", scale.label_selector_path, (".spec.", ".status.")),
        ):
            if path is not None and (not path.startswith(root) or "[" in path):
                where = f"{at}.subresources.scale.{field}"
                yield Cause(where, f"should be a json path under {' or '.join(root)}, not {path!r}")


def validate_update(old: CustomResourceDefinition, new: CustomResourceDefinition) -> Iterator[Cause]:
    """Group, plural and scope stay; once objects may exist the kind does too, and stored versions stay listed."""
    fixed = [("spec.group", old.spec.group, new.spec.group)]
    fixed.append(("spec.names.plural", old.spec.names.plural, new.spec.names.plural))
    if old.status.has("Established"):
        fixed.append(("spec.scope", old.spec.scope, new.spec.scope))
        fixed.append(("spec.names.kind", old.spec.names.kind, new.spec.names.kind))
    for field, was, now in fixed:
        if was != now:
            yield Cause(field, f"cannot be changed (it is {was}); delete the object and create it anew")
    listed = {version.name for version in new.spec.versions}
    for name in old.status.stored_versions:
        if name not in listed:
            yield Cause("status.storedVersions", f"must appear in spec.versions: {name}")

"""Custom resources: a model class for each version of a CustomResourceDefinition, made when it is needed.

An instance keeps its content as wire data, checked against the definition's schema instead of pydantic's fields; its
metadata (and its status, where the definition has that sub-resource) are as those of every other object.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from pydantic import ConfigDict, ValidationError, create_model

from orchestr.api import celrules, customschema
from orchestr.api.base import KubeObject
from orchestr.api.customschema import OBJECT_FIELDS, Path, Schema
from orchestr.api.decode import refusal
from orchestr.api.definition import (
    CustomResourceColumnDefinition,
    CustomResourceDefinition,
    CustomResourceDefinitionSpec,
    CustomResourceSubresourceScale,
)
from orchestr.api.errors import Cause, render


class Kinds(NamedTuple):
    """The classes of a definition by version."""

    stored: "type[Custom]"
    served: "tuple[type[Custom], ...]"


class Custom(KubeObject):
    """Base of all custom resources."""

    model_config = ConfigDict(extra="allow")

    PLURAL: ClassVar[str] = ""
    SINGULAR: ClassVar[str] = ""
    LIST: ClassVar[str] = ""
    CATEGORIES: ClassVar[tuple[str, ...]] = ()
    SCHEMA: ClassVar[Schema] = {}
    RULES: ClassVar[bool] = False  # whether the schema has rules in CEL
    OPENAPI: ClassVar[Schema] = {}  # the schema as the definition has it
    SCALE: ClassVar[CustomResourceSubresourceScale | None] = None
    PRINTER_COLUMNS: ClassVar[tuple[CustomResourceColumnDefinition, ...]] = ()
    WARNING: ClassVar[str] = ""  # told to whoever uses a deprecated version

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "Custom":
        """The object, with defaults. Raises Invalid for unknown fields, then with all else that is wrong, and for
        malformed metadata."""
        data, found = cls.pruned(data)
        if found:
            texts = [Cause(render(path), f"unknown field {path[-1]!r}", "FieldValueUnknown") for path in found]
            raise refusal(cls.__name__, data, [*texts, *cls.taken(data).problems()])
        return cls.taken(data)

    @classmethod
    def pruned(cls, data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Path]]:
        """The data less the fields that the schema does not know, and where they were."""
        found: list[Path] = []
        kept: dict[str, Any] = customschema.prune(dict(data), cls.SCHEMA, found)
        return kept, found

    @classmethod
    def taken(cls, data: Mapping[str, Any]) -> "Custom":
        """The object with defaults, of data that is pruned. Raises Invalid for malformed metadata."""
        filled = customschema.fill_in(dict(data), cls.SCHEMA)
        metadata = filled.get("metadata")
        if isinstance(metadata, Mapping):
            filled["metadata"] = {name: value for name, value in metadata.items() if value is not None}
        try:
            return cls.model_validate(filled)
        except ValidationError as error:
            causes = [Cause(render(tuple(each["loc"])), each["msg"]) for each in error.errors(include_url=False)]
            raise refusal(cls.__name__, data, causes) from error

    @property
    def content(self) -> dict[str, Any]:
        """Everything but apiVersion, kind, metadata and, where it is a sub-resource, status."""
        return self.model_extra or {}

    @property
    def body(self) -> dict[str, Any]:
        """What the schema speaks of."""
        status = getattr(self, "status", None)
        given = {"apiVersion": self.api_version, "kind": self.kind, **self.content}
        given["metadata"] = {"name": self.metadata.name}
        return given if status is None else {**given, "status": status}

    def problems(self) -> Iterator[Cause]:
        """Where it differs from the schema, and rules that it breaks; rules come once the rest is right."""
        body, found = self.body, False
        for cause in customschema.check(body, self.SCHEMA):
            found = True
            yield cause
        if self.RULES and not found:
            yield from (cause for cause in celrules.broken(body, self.SCHEMA))

    def changes(self, old: "Custom") -> Iterator[Cause]:
        """Transition rules that it breaks."""
        if self.RULES:
            plain = set(self.problems())
            yield from (c for c in celrules.broken(self.body, self.SCHEMA, old.body) if c not in plain)

    def as_version(self, kind: "type[Custom]") -> "Custom":
        """The same in another version of its definition (conversion None)."""
        if type(self) is kind:
            return self
        data, _ = kind.pruned({**self.wire(), "apiVersion": f"{kind.GROUP}/{kind.VERSION}"})
        return kind.taken(data)


def kinds_of(crd: CustomResourceDefinition) -> Kinds:
    """The classes of a definition. The same definition gives the same classes, whoever asks."""
    return _kinds(crd.metadata.uid or "", crd.spec.model_dump_json(by_alias=True, exclude_none=True))


@lru_cache(maxsize=1024)
def _kinds(uid: str, text: str) -> Kinds:
    spec = CustomResourceDefinitionSpec.model_validate_json(text)
    classes = [_class(spec, index) for index in range(len(spec.versions))]
    stored = next(c for c, version in zip(classes, spec.versions, strict=True) if version.storage)
    for each in classes:
        each.STORED = stored
    return Kinds(stored, tuple(c for c, version in zip(classes, spec.versions, strict=True) if version.served))


def _class(spec: CustomResourceDefinitionSpec, index: int) -> type[Custom]:
    version, names = spec.versions[index], spec.names
    fields: dict[str, Any] = {
        "api_version": (str, f"{spec.group}/{version.name}"),
        "kind": (str, names.kind),
    }
    parts = version.subresources
    if parts is not None and parts.status is not None:
        fields["status"] = (Any, None)
    made: type[Custom] = create_model(names.kind, __base__=Custom, __module__=__name__, **fields)
    made.PLURAL, made.GROUP, made.VERSION = names.plural, spec.group, version.name
    made.SINGULAR, made.LIST = names.singular or names.kind.lower(), names.list_kind or f"{names.kind}List"
    made.NAMESPACED = spec.scope == "Namespaced"
    made.SHORT, made.CATEGORIES = tuple(names.short_names), tuple(names.categories)
    made.OPENAPI = version.document
    made.SCHEMA = _open(version.document)
    made.RULES = celrules.has_rules(version.document)
    made.SCALE = parts.scale if parts else None
    made.PRINTER_COLUMNS = tuple(version.additional_printer_columns)
    if version.deprecated:
        text = f"{spec.group}/{version.name} {names.kind} is deprecated"
        made.WARNING = version.deprecation_warning or text
    made.model_rebuild()
    return made


def _open(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The root schema; apiVersion, kind and metadata are checked elsewhere, but a bound on the name holds."""
    properties = {k: v for k, v in (schema.get("properties") or {}).items() if k not in OBJECT_FIELDS}
    name = (((schema.get("properties") or {}).get("metadata") or {}).get("properties") or {}).get("name")
    if name:
        properties["metadata"] = {"type": "object", PRESERVE: True, "properties": {"name": name}}
    return {**schema, "properties": properties}


PRESERVE = customschema.PRESERVE

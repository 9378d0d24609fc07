"""The support matrix of Kubernetes' kinds and fields, made from the models and the tables.

python -m orchestr.api.matrix > docs/kubernetes.md
"""

from collections.abc import Iterator

from orchestr.api import schema, support
from orchestr.api.base import Model
from orchestr.api.decode import shapes
from orchestr.api.scheme import KINDS, gvk

HEAD = """\
# Kubernetes kinds and fields

Made by `python -m orchestr.api.matrix > docs/kubernetes.md` from the models; do not edit. Compared with Kubernetes
1.36.

- **done**: works as in Kubernetes
- **some values**: other values are refused with "not supported"
- **no effect**: accepted, kept and shown, because it cannot matter on one machine
- **not supported**: refused, with the reason

An unknown field is an error, unless a client of the API asks for less with fieldValidation. Kinds that are not served
are checked by `apply --dry-run=client` and refused by `apply`.
"""


def lines() -> Iterator[str]:
    """The page."""
    served = {" ".join(gvk(kind)): kind for kind in KINDS}
    yield HEAD
    yield "## Kinds\n\n| kind | served |\n| --- | --- |"
    for key in sorted({*schema.tables().kinds, *served}, key=lambda key: key.split(" ")[::-1]):
        api_version, word = key.split(" ")
        yield f"| {word} ({api_version}) | {'yes' if key in served else 'no'} |"
    done: set[str] = set()
    for key, kind in served.items():
        name = schema.tables().kinds.get(key)
        if name:
            yield f"\n## {kind.__name__}"
            yield from _type(kind, name, done)


def _type(model: type[Model], name: str, done: set[str]) -> Iterator[str]:
    """The table of a type, then those of the types in it that were not shown yet."""
    done.add(model.__name__)
    known = shapes(model)
    yield f"\n### {model.__name__}\n\n| field | support | why |\n| --- | --- | --- |"
    for field in sorted(schema.tables().types[name]):
        yield f"| {field} | {' | '.join(_support(model.__name__, field, field in known))} |"
    for field, code in sorted(schema.tables().types[name].items()):
        shape = known.get(field)
        if shape and shape.nested and "@" in code and shape.nested.__name__ not in done:
            yield from _type(shape.nested, code.lstrip("[{@").rstrip("!"), done)


def _support(model: str, field: str, modelled: bool) -> tuple[str, str]:
    key = (model, field)
    if not modelled:
        return "not supported", support.why_not(*key)
    if key in support.NO_EFFECT:
        return "no effect", support.NO_EFFECT[key]
    if key in support.SOME_VALUES:
        return "some values", support.SOME_VALUES[key]
    return "done", support.NOTES.get(key, "")


if __name__ == "__main__":
    print("\n".join(lines()))

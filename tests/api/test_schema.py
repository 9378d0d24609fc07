import json
from importlib.resources import files

from orchestr.api import schema, support
from orchestr.api.base import Condition, Model
from orchestr.api.decode import shapes
from orchestr.api.scheme import KINDS, gvk
from tests.api import make_schema


def test_the_tables_are_those_of_the_source() -> None:
    shipped = json.loads(files("orchestr.api").joinpath("kubernetes.json").read_text())
    assert shipped == make_schema.build()


def pairs() -> dict[type[Model], str]:
    """Every model with its type in Kubernetes' tables."""
    tables = schema.tables()
    todo = [(kind, tables.kinds.get(" ".join(gvk(kind)), "")) for kind in KINDS]
    found: dict[type[Model], str] = {}
    while todo:
        model, name = todo.pop()
        if name and model not in found:
            found[model] = name
            for field, shape in shapes(model).items():
                code = tables.types[name].get(field, "")
                if shape.nested and "@" in code:
                    todo.append((shape.nested, code.lstrip("[{@").rstrip("!")))
    return found


def test_every_field_of_a_model_is_kubernetes_own() -> None:
    for model, name in pairs().items():
        if model is not Condition:  # one for all kinds of conditions
            assert shapes(model).keys() <= schema.tables().types[name].keys(), model


def test_the_tables_of_support_speak_of_fields_that_exist() -> None:
    found = {model.__name__: shapes(model) for model in pairs()}
    for table in (support.NO_EFFECT, support.SOME_VALUES):
        for model, field in table:
            assert field in found[model], (model, field)
    for model, field in support.NOT_DONE:
        assert field not in found[model], (model, field)

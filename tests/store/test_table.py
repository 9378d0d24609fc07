"""The table's order: whatever comes and goes, rows are in the order of namespace and name."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap
from orchestr.store.table import FEW, Row, Table

KEYS = st.builds(Key, st.sampled_from(["a", "b"]), st.integers(0, 3 * FEW).map(lambda number: f"c{number}"))


def row(key: Key, revision: int) -> Row:
    obj = ConfigMap(metadata=ObjectMeta(name=key.name, namespace=key.namespace, uid=f"{key}"))
    return Row(obj, obj.canonical(), revision)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=600), st.integers(1, 50))
def test_rows_are_in_order(changes: list[tuple[bool, Key]], every: int) -> None:
    table, model = Table(), dict[Key, Row]()
    for number in range(2 * FEW):
        key = Key("a", f"d{number}")
        model[key] = row(key, 0)
        table.put(model[key])
    for revision, (there, key) in enumerate(changes):
        if there:
            model[key] = row(key, revision)
            table.put(model[key])
        elif key in model:
            table.remove("configmaps", key)
            del model[key]
        if revision % every == 0:
            assert table.rows("configmaps") == [model[key] for key in sorted(model)]
            assert table.rows("configmaps", "a") == [model[key] for key in sorted(model) if key.namespace == "a"]
    for key in list(model):
        table.remove("configmaps", key)
    assert table.rows("configmaps") == table.rows("configmaps", "a") == []

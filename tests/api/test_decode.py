import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api import scheme
from orchestr.api.apps import Deployment
from orchestr.api.errors import Invalid
from tests.api import objects

anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def refused(data: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        scheme.decode(data, **options)
    return {cause.field: cause.message for cause in caught.value.causes}


def test_all_problems_are_told_at_once_with_the_nearest_name() -> None:
    data = objects.pod(replicas=3, initContainers=[{"imge": "x", "name": 8}])
    assert refused(data) == {
        "spec.replicas": "unknown field 'replicas'",
        "spec.initContainers[0].imge": "unknown field 'imge' (did you mean image?)",
        "spec.initContainers[0].name": 'must be a string, not the number 8 (quote it: "8")',
    }


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (objects.pod(runtimeClassName="gvisor"), "spec.runtimeClassName"),
        (objects.pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]), "spec.volumes[0].nfs"),
        (objects.pod(os={"name": "windows"}), "spec.os.name"),
        (objects.service(externalName="example.org"), "spec.externalName"),
    ],
)
def test_what_kubernetes_has_and_we_do_not_do_is_not_supported(data: Any, field: str) -> None:
    assert refused(data)[field].startswith("not supported: ")


def test_fields_that_cannot_matter_are_kept_and_noted_with_the_reason() -> None:
    obj = scheme.decode(objects.pod(overhead={"cpu": "1m"}, preemptionPolicy="Never"))
    assert {note.field for note in scheme.notes(obj)} == {"spec.overhead", "spec.preemptionPolicy"}
    assert obj.wire()["spec"]["overhead"] == {"cpu": "1m"}


def test_a_field_without_effect_is_checked_all_the_same() -> None:
    assert (
        "did you mean nodeAffinity" in refused(objects.pod(affinity={"nodAffinity": {}}))["spec.affinity.nodAffinity"]
    )


@pytest.mark.parametrize(
    ("api_version", "kind", "words"),
    [
        ("extensions/v1beta1", "Deployment", "use apps/v1"),
        ("extensions/v1beta1", "Ingress", "use networking.k8s.io/v1"),
        ("v1", "Deployment", "use apps/v1"),
        ("apps/v1", "Deploymnt", "did you mean Deployment?"),
        ("policy/v1beta1", "PodSecurityPolicy", "removed in Kubernetes 1.25"),
        ("storage.k8s.io/v1", "CSIDriver", "not supported"),
        ("argoproj.io/v1alpha1", "Rollout", "not supported"),
    ],
)
def test_an_unknown_kind_names_what_to_write(api_version: str, kind: str, words: str) -> None:
    [message] = refused({"apiVersion": api_version, "kind": kind}).values()
    assert words in message


def test_kinds_without_behaviour_decode_strictly_for_who_only_looks() -> None:
    data = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": "db"},
        "spec": {"attacher": 3},
    }
    assert set(refused(data, foreign=True)) == {"spec.attacher", "spec.nodeName", "spec.source"}
    custom = scheme.decode({"apiVersion": "example.org/v1", "kind": "Thing", "spec": {"any": [1]}}, foreign=True)
    assert custom.wire()["spec"] == {"any": [1]}


def test_null_means_absent() -> None:
    assert scheme.decode(objects.deployment(replicas=None)).spec.replicas == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [None, 3, "text", [], {}, {"kind": "Pod"}, {"apiVersion": 1, "kind": []}])
def test_what_is_no_object_is_refused(data: Any) -> None:
    assert refused(data)


@given(st.sampled_from([objects.pod, objects.deployment, objects.job, objects.service]), st.data())
def test_no_value_anywhere_makes_a_traceback(make: Any, data: Any) -> None:
    wire = make()
    target: Any = wire
    for _ in range(data.draw(st.integers(0, 4))):
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        inner = [key for key in keys if isinstance(target[key], dict | list) and target[key]]
        if not inner:
            break
        target = target[data.draw(st.sampled_from(inner))]
    if isinstance(target, dict):
        target[data.draw(st.sampled_from([*target, "extra"]))] = data.draw(anything)
    else:
        target.append(data.draw(anything))
    try:
        obj = scheme.default(scheme.decode(wire))
    except Invalid:
        return
    scheme.validate(obj)
    assert scheme.load(type(obj), obj.canonical()) == obj


def test_the_wire_form_survives() -> None:
    obj = scheme.decode(objects.deployment())
    assert isinstance(obj, Deployment)
    assert scheme.decode(json.loads(obj.canonical())) == obj

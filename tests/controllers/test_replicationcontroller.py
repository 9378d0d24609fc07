"""A ReplicationController makes and counts its pods as a ReplicaSet does, under its own name."""

from controllers.replicationcontroller import as_set
from orchestr.api import scheme
from orchestr.api.replication import ReplicationController
from tests.api import objects


def test_it_acts_as_the_set_that_owns_the_pods_in_its_name() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": objects.pod_spec()}
    data = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web", "uid": "u"},
        "spec": {"replicas": 3, "template": template},
    }
    rc = scheme.default(scheme.decode(data))
    assert isinstance(rc, ReplicationController)
    rs = as_set(rc)
    assert (rs.spec.replicas, rs.spec.selector.match_labels) == (3, {"app": "web"})
    reference = rs.owner_reference()
    assert (reference.api_version, reference.kind, reference.uid) == ("v1", "ReplicationController", "u")

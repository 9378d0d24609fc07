"""Custom resources, as kubectl sees them."""

from collections.abc import Iterator

import pytest

from e2e.kubectl.conftest import Kubectl

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Gadget, shortNames: [gd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations:
            - {rule: self.size <= 10, message: too large}
            properties:
              size: {type: integer, minimum: 1, description: How large the gadget is.}
              replicas: {type: integer, default: 1}
          status:
            type: object
            properties:
              replicas: {type: integer}
              conditions:
                type: array
                items:
                  type: object
                  properties: {type: {type: string}, status: {type: string}}
"""
GADGET = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: a}\nspec: {size: %d%s}\n"


@pytest.fixture
def defined(kubectl: Kubectl) -> Iterator[Kubectl]:
    kubectl.ok("apply", "-f", "-", input=DEFINITION)
    kubectl.ok("wait", "--for=condition=established", "crd/gadgets.example.com", "--timeout=10s")
    yield kubectl
    kubectl("delete", "crd", "gadgets.example.com", "--ignore-not-found", "--timeout=20s")


def test_apply_get_explain_scale_and_delete(defined: Kubectl) -> None:
    assert "gadget.example.com/a created" in defined.ok("apply", "-f", "-", input=GADGET % (3, ""))
    assert "gadget.example.com/a unchanged" in defined.ok("apply", "-f", "-", input=GADGET % (3, ""))
    assert "gadget.example.com/a configured" in defined.ok("apply", "-f", "-", input=GADGET % (4, ""))
    (row,) = defined.table("gd")
    assert (row["NAME"], row["SIZE"]) == ("a", "4")
    assert "How large the gadget is." in defined.ok("explain", "gadget.spec.size")
    defined.ok("scale", "gadget/a", "--replicas=3")
    assert defined.ok("get", "gadget", "a", "-o", "jsonpath={.spec.replicas}") == "3"
    defined.ok("patch", "gadget", "a", "--type=merge", "-p", '{"spec":{"size":5}}')
    conditions = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    defined.ok("patch", "gadget", "a", "--subresource=status", "--type=merge", "-p", conditions)
    defined.ok("wait", "--for=condition=Ready", "gadget/a", "--timeout=5s")
    defined.ok("label", "gadget", "a", "team=x")
    assert "gadget.example.com/a" in defined.ok("get", "all", "-l", "team=x", "-o", "name")
    assert "Size:" in defined.ok("describe", "gadget", "a")
    defined.ok("delete", "gadget", "a")
    assert defined.table("crd", "gadgets.example.com")[0]["NAME"] == "gadgets.example.com"


def test_what_is_wrong_is_told(defined: Kubectl) -> None:
    assert "spec.size" in defined.refused("apply", "-f", "-", input=GADGET % (0, ""))
    assert "too large" in defined.refused("apply", "-f", "-", input=GADGET % (11, ""))
    assert "unknown field" in defined.refused("apply", "-f", "-", input=GADGET % (3, ", colour: red"))


def test_server_side_apply_and_the_end_of_the_definition(defined: Kubectl) -> None:
    defined.ok("apply", "--server-side", "-f", "-", input=GADGET % (3, ""))
    defined.ok("delete", "crd", "gadgets.example.com", "--timeout=20s")
    assert "NotFound" in defined.refused("get", "gadgets.v1.example.com")  # it remembers the discovery of before


def test_classes_budgets_and_limits(kubectl: Kubectl) -> None:
    kubectl.ok("create", "priorityclass", "high-e2e", "--value=1000")
    kubectl.ok("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    assert kubectl.table("pdb")[0]["MIN AVAILABLE"] == "1"
    assert kubectl.table("priorityclass", "high-e2e")[0]["VALUE"] == "1000"
    assert kubectl.table("storageclass")[0]["NAME"] == "local (default)"
    kubectl.ok("delete", "priorityclass", "high-e2e")

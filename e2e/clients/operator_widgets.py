"""An operator in kopf for the kind Colouring: it makes a ConfigMap for each, keeps status, and cleans up at the end."""

import logging
from typing import Any

import kopf
from kubernetes import client

GROUP = ("clients.example.com", "v1", "colourings")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    client.Configuration()  # kopf has logged in by then; the client below takes its credentials from the same file
    settings.peering.name = "colourings"
    settings.peering.mandatory = True
    settings.posting.level = logging.INFO
    settings.persistence.finalizer = "clients.example.com/finished"


@kopf.index(*GROUP)
def colours(name: str, spec: kopf.Spec, **_: Any) -> dict[str, str]:
    return {name: spec["colour"]}


@kopf.on.create(*GROUP)
def made(spec: kopf.Spec, name: str, namespace: str, patch: kopf.Patch, body: kopf.Body, **_: Any) -> dict[str, str]:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"colour": spec["colour"]}}
    kopf.adopt(config)
    client.CoreV1Api().create_namespaced_config_map(namespace, config)
    kopf.info(body, reason="Painted", message=f"painted {spec['colour']}")
    patch.status["colour"] = spec["colour"]
    return {"config": name}


@kopf.on.update(*GROUP, field="spec.colour")
def changed(new: str, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    client.CoreV1Api().patch_namespaced_config_map(name, namespace, {"data": {"colour": new}})
    patch.status["colour"] = new


@kopf.timer(*GROUP, interval=0.2)
def count(patch: kopf.Patch, colours: kopf.Index, **_: Any) -> None:
    patch.status["known"] = len(colours)


@kopf.on.delete(*GROUP)
def gone(name: str, namespace: str, **_: Any) -> None:
    client.CoreV1Api().create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-was-here"}})

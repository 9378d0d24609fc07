"""The seam's records as JSON and back, for the socket and for the files in the run directory."""

from collections.abc import Mapping
from typing import Any

from orchestr.runtime.seam import Container, ContainerSpec, LogSpec, OomKill, Rootfs, RuntimeFailure, SandboxSpec

_LATER = ("stdin", "pid_of")  # which older supervisors do not know


def container_to(container: Container) -> dict[str, Any]:
    data = container._asdict()
    if container.oom is not None:
        data["oom"] = container.oom._asdict()
    return data


def container_from(data: Mapping[str, Any]) -> Container:
    oom = data.get("oom")
    return Container(**{**data, "oom": OomKill(**oom) if oom else None})


def spec_to(spec: ContainerSpec) -> dict[str, Any]:
    log = spec.log._asdict() if spec.log else None
    data = {**spec._asdict(), "oci": dict(spec.oci), "rootfs": spec.rootfs._asdict(), "log": log}
    return {key: value for key, value in data.items() if value or key not in _LATER}


def spec_from(data: Mapping[str, Any]) -> ContainerSpec:
    rootfs, log = data["rootfs"], data["log"]
    return ContainerSpec(
        **{
            **data,
            "rootfs": Rootfs(**{**rootfs, "lower": tuple(rootfs["lower"])}),
            "log": LogSpec(**log) if log else None,
        }
    )


def sandbox_to(spec: SandboxSpec) -> dict[str, Any]:
    return {**spec._asdict(), "sysctls": dict(spec.sysctls), "resources": dict(spec.resources)}


def sandbox_from(data: Mapping[str, Any]) -> SandboxSpec:
    return SandboxSpec(**data)


def failure_to(failure: RuntimeFailure) -> dict[str, Any]:
    return {"message": str(failure), "reason": failure.reason, "exit_code": failure.exit_code}


def failure_from(data: Mapping[str, Any]) -> RuntimeFailure:
    return RuntimeFailure(data["message"], reason=data["reason"], exit_code=data["exit_code"])

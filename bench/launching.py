"""Launches one container per line of input, answers with its seconds: `python -m bench.launching HOW DIR`.

`direct` calls the launch as orch-supervisor does, `supervised` goes through the Runtime seam as the agent does. A
program of its own, for a launch is a fork: what else the caller has in memory would count.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator

from orchestr.runtime import cgroups, launch, namespaces
from orchestr.runtime.seam import ContainerSpec, LogSpec, Rootfs, SandboxSpec
from orchestr.runtime.spec import default_spec

UID_BASE = 1_800_000
PARENT = f"orch-bench-{os.getpid()}"


def sandbox(number: int) -> SandboxSpec:
    return SandboxSpec(f"pod{number}", "bench", f"{PARENT}/pod{number}", uid_base=UID_BASE)


def container(folder: str, number: int, log: bool) -> ContainerSpec:
    oci = default_spec(["/bin/true"], ["PATH=/bin"], resources={"memory": {"limit": 256 << 20}, "pids": {"limit": 64}})
    root = Rootfs((f"{folder}/low",), f"{folder}/upper{number}")
    return ContainerSpec(f"c{number}", f"pod{number}", oci, root, LogSpec(f"{folder}/log{number}") if log else None)


def requests() -> Iterator[int]:
    """The number of each request; `answer` follows."""
    for number, _ in enumerate(sys.stdin):
        yield number


def answer(seconds: float) -> None:
    sys.stdout.write(f"{seconds}\n")
    sys.stdout.flush()


def direct(folder: str) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in requests():
        began = time.perf_counter()
        pod, spec = sandbox(number), container(folder, number, log=False)
        cgroups.create(pod.cgroup, {})
        ns = namespaces.make(pod)
        launched = launch.launch(spec, pod, ns, (null, null, null))
        _, status = os.waitpid(launched.pid, 0)
        os.close(launched.pidfd)
        ns.close()
        cgroups.remove(pod.cgroup)
        shutil.rmtree(spec.rootfs.upper)
        answer(time.perf_counter() - began)
        if status:
            sys.exit(f"/bin/true ended with status {status}")
    cgroups.remove(PARENT)


def supervised(folder: str) -> None:
    import trio

    from orchestr.runtime.client import SupervisedRuntime

    async def main() -> None:
        runtime = SupervisedRuntime(f"{folder}/run")
        async with trio.open_nursery() as nursery:
            await nursery.start(runtime.run)
            events = runtime.events()
            number = 0
            while await trio.to_thread.run_sync(sys.stdin.readline):
                began = time.perf_counter()
                await runtime.create_sandbox(sandbox(number))
                await runtime.start_container(container(folder, number, log=True))
                async for event in events:
                    if event.id == f"c{number}" and event.status == "exited":
                        break
                await runtime.remove_container(event.id, keep_logs=False)
                await runtime.remove_sandbox(event.sandbox)
                answer(time.perf_counter() - began)
                if event.exit_code:
                    sys.exit(f"/bin/true ended with exit code {event.exit_code}")
                number += 1
            await runtime.shutdown(PARENT)

    trio.run(main)


if __name__ == "__main__":
    {"direct": direct, "supervised": supervised}[sys.argv[1]](sys.argv[2])

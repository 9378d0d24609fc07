"""Where the agent keeps a pod's files. One function a place, so that no path is spelled twice.

<state>/pods/<uid>/empty/<volume>              emptyDir
<state>/pods/<uid>/upper/<container>/<attempt> the writable layer of one run
<state>/logs/<ns>_<pod>_<uid>/<container>/<n>  the log of one run
<state>/volumes/<ns>/<claim>-<uid>             a PersistentVolume that was made for a claim
<run>/volatile/<uid>/...                       ConfigMaps, Secrets, hosts, resolv.conf: on a tmpfs
"""

import os

from orchestr.api.core import Pod


class Places:
    def __init__(self, state: str, volatile: str) -> None:
        self.state, self.volatile = state, volatile

    def pod(self, uid: str) -> str:
        return os.path.join(self.state, "pods", uid)

    def empty(self, uid: str, volume: str) -> str:
        return os.path.join(self.pod(uid), "empty", volume)

    def upper(self, uid: str, container: str, attempt: int) -> str:
        return os.path.join(self.pod(uid), "upper", container, str(attempt))

    def logs(self, pod: Pod) -> str:
        return os.path.join(self.state, "logs", f"{pod.metadata.namespace}_{pod.metadata.name}_{pod.metadata.uid}")

    def log(self, pod: Pod, container: str, attempt: int) -> str:
        return os.path.join(self.logs(pod), container, str(attempt))

    def logged(self, pod: Pod, container: str) -> list[int]:
        """The runs that left a log, oldest first."""
        try:
            return sorted(int(each) for each in os.listdir(os.path.join(self.logs(pod), container)) if each.isdigit())
        except FileNotFoundError:
            return []

    @property
    def volumes(self) -> str:
        return os.path.join(self.state, "volumes")

    def memory(self, uid: str, volume: str) -> str:
        return os.path.join(self.tmpfs(uid), "memory", volume)

    def tmpfs(self, uid: str) -> str:
        return os.path.join(self.volatile, uid)

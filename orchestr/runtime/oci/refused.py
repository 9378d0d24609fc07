"""checkpoint and restore: known to engines, and not done."""

from typing import Final

from orchestr.runtime.oci.options import Call, Command
from orchestr.runtime.seam import RuntimeFailure


def checkpoint(call: Call) -> int:
    raise RuntimeFailure("cannot checkpoint a container: not supported (orch-oci does not drive criu)")


def restore(call: Call) -> int:
    raise RuntimeFailure("cannot restore a container: not supported (orch-oci does not drive criu)")


COMMANDS: Final = {
    "checkpoint": Command(checkpoint, "not supported", "ID", in_order=True, extra=True),
    "restore": Command(restore, "not supported", "ID", in_order=True, extra=True),
}

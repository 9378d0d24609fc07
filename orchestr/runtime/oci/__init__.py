"""orch-oci: the OCI runtime command over the same launch code. See `orch-oci help`."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    from orchestr.runtime.oci.command import run

    return run(list(sys.argv[1:] if argv is None else argv))

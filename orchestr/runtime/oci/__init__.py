"""orch-oci: the OCI runtime command over the same launch code. See `orch-oci help`."""

import gc
import os
import sys

_LAUNCHING = {"create", "run", "exec"}  # words of the command line; where one is no command, to hide is needless only


def main() -> None:
    from orchestr.runtime.oci import partial

    gc.disable()  # all that is made lives as long as we do
    partial.install()
    from orchestr.runtime.oci import forms

    forms.install()
    # An ordinary user's command is run again as root of a namespace (rootless.py).
    if os.geteuid() == 0 and not _LAUNCHING.isdisjoint(sys.argv):
        from orchestr.runtime import exefile

        exefile.arrange()
    from orchestr.runtime.oci.command import main as run

    run()

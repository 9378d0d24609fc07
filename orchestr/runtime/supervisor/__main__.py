"""`python -I -m orchestr.runtime.supervisor --run DIR --ready FD`; see serve.py."""

import sys

from orchestr.runtime.sealed import seal

if __name__ == "__main__":
    seal()  # before the other imports: it starts this program a second time
    from orchestr.runtime.supervisor.serve import main

    main(sys.argv[1:])

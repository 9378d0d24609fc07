"""floor.c, compiled into a temporary directory: how fast the kernel would let a launch be."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.place import BenchError

SOURCE = Path(__file__).with_name("floor.c")


@contextmanager
def compiled() -> Iterator[str | None]:
    """The program's path; None without a compiler."""
    if not (compiler := shutil.which("cc")):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        program = f"{folder}/floor"
        subprocess.run([compiler, "-O2", "-o", program, str(SOURCE)], check=True)
        yield program


def seconds(program: str, low: str, work: str) -> float:
    """One container, timed inside of the program."""
    done = subprocess.run([program, low, work], capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"floor: {done.stderr.strip()}")
    return float(done.stdout)

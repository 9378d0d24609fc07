"""What builds leave in <root>/build/ when their daemon is killed: removed by the next one. Imports next to nothing.

<root>/build/work/     a directory a build: context, layers that are not in the store yet
<root>/build/cache/    what steps gave (cache.py)
<root>/build/mounts/   cache mounts of RUN
"""

import os
import shutil


def work(root: str) -> str:
    return os.path.join(root, "build", "work")


def sweep(root: str) -> None:
    for folder in (work(root), os.path.join(root, "build", "cache")):
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if os.path.isdir(path):
                    shutil.rmtree(path, ignore_errors=True)
                elif name.startswith(".new-"):
                    os.unlink(path)

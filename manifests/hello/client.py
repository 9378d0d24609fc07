"""Calls $URL once a second and prints what it answers; ends on SIGTERM."""

import os
import signal
import threading
import urllib.error
import urllib.request

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())

while not stop.is_set():
    try:
        with urllib.request.urlopen(os.environ["URL"], timeout=5) as answer:
            print(answer.read().decode().strip())
    except (OSError, urllib.error.URLError) as error:
        print(f"cannot call {os.environ['URL']}: {error}")
    stop.wait(1)

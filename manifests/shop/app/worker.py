"""Takes orders from the queue and counts them as done; ends on SIGTERM after the order at hand."""

import signal
import threading

from resp import Redis

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())

redis = Redis("redis")
print("waiting for orders")
while not stop.is_set():
    order = redis("BRPOP", "orders", 1)  # None after a second without an order
    if isinstance(order, list):
        print(f"order {order[1]} done, {redis('INCR', 'done')} in all")

"""One measurement each: `measure(world) -> rows`. The order here is that of the table."""

NAMES = (
    "launch",
    "runtime",
    "stack",
    "memory",
    "status",
    "exec",
    "idle",
    "heal",
    "logs",
    "port",
    "store",
    "api",
    "requests",
    "crowd",
)

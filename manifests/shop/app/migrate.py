"""Brings the stored data to the schema that the API expects, once, and ends."""

from resp import Redis

SCHEMA = 2

redis = Redis("redis")
found = int(str(redis("GET", "schema") or 0))
for version in range(found + 1, SCHEMA + 1):
    print(f"migrating to schema {version}")
    redis("SET", "schema", version)
print(f"schema {SCHEMA} is there")

"""The store: objects in SQLite, watches, admission, garbage. `open_cluster` gives the daemon its LocalCluster."""

from orchestr.store.applying import Applied
from orchestr.store.local import LocalCluster, Rows, open_cluster
from orchestr.store.schema import StoreError
from orchestr.store.table import Change, Row

__all__ = ["Applied", "Change", "LocalCluster", "Row", "Rows", "StoreError", "open_cluster"]

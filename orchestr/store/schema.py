"""The database file: its tables, their version, and the way from an older version to this one.

A database carries its version in `PRAGMA user_version`. An older one is migrated forward, one numbered step and one
transaction at a time; a newer one is refused, because writing into it could lose what this program does not know.
"""

import sqlite3
from pathlib import Path

# One script for each version; the script at index n leads from version n to n+1. Never change one that was released.
MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    CREATE TABLE objects (
        kind TEXT NOT NULL,       -- plural, dot, group: "deployments.apps", "pods"
        namespace TEXT NOT NULL,  -- "" for cluster-scoped kinds
        name TEXT NOT NULL,
        uid TEXT NOT NULL UNIQUE,
        revision INTEGER NOT NULL,
        data BLOB NOT NULL,       -- canonical JSON, as served
        PRIMARY KEY (kind, namespace, name)
    );
    CREATE TABLE log (
        revision INTEGER PRIMARY KEY,
        type TEXT NOT NULL,       -- ADDED, MODIFIED, DELETED
        kind TEXT NOT NULL,
        data BLOB NOT NULL        -- canonical JSON after the change; the last state for DELETED
    );
    CREATE TABLE quarantine (
        kind TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        data BLOB NOT NULL,
        error TEXT NOT NULL
    );
    INSERT INTO meta VALUES ('revision', 0), ('floor', 0);
    """,
)
VERSION = len(MIGRATIONS)
WAIT = 2.0  # seconds for a daemon before this one to let go of the database


class StoreError(Exception):
    """The database cannot be used. Text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)"."""


def connect(path: str) -> sqlite3.Connection:
    """An open connection to the database at `path` (made when missing), of this program's version.

    Transactions are explicit. Nobody else can open it meanwhile: the store answers from memory, so a second writer
    would go unseen. Raises StoreError when it is in use, of a newer version, or no database.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the store {path}: {error} (is the directory writable?)") from error
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # Debian's SQLite zeroes all that is deleted, through the log: deleting would need room on a full disk.
        connection.execute("PRAGMA secure_delete=FAST").fetchall()
        connection.execute("PRAGMA foreign_keys=OFF")
        migrate(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        hint = "another daemon uses it: stop that first" if busy else "restore it from a copy, or move it away"
        raise StoreError(f"cannot open the store {path}: {error} ({hint})") from error
    except StoreError:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Brings the database to VERSION; each step is recorded in the transaction that makes it."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError(
            f"cannot open the store {path}: its schema version is {version}, this program knows up to {VERSION}"
            " (start the newer program that wrote it)"
        )
    for number in range(version, VERSION):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")

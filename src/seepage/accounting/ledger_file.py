"""The SQLite file behind a ledger: opened, checked, and written so that a charge stays.

Rollback journal, `synchronous=EXTRA` (FULL, and the folder synced after the journal is gone):
once a commit returns, a power cut can't undo it. A write-ahead log commits two to five
times faster, but then recent charges lie in a second file: a ledger that is copied without it
has forgotten them, and it needs memory shared between processes, which network folders lack.

Every transaction opens a connection of its own, so that threads and forked processes never
share one. What a killed process left half-written is rolled back by whoever opens it next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ..core.errors import RefusedError, UsageError

APPLICATION_ID = 0x53656570
SCHEMA_VERSION = 2
# Columns without a type keep an id as given: 7 is not "7".
_SCHEMA = (
    "CREATE TABLE target (epsilon REAL NOT NULL, delta REAL NOT NULL)",
    """CREATE TABLE clients (client PRIMARY KEY NOT NULL, renyi_order REAL,
    unit TEXT, adjacency TEXT, observer TEXT) WITHOUT ROWID""",
    """CREATE TABLE charges (number INTEGER PRIMARY KEY, release_id NOT NULL,
    client NOT NULL, share INTEGER NOT NULL CHECK (share >= 0),
    mechanism TEXT NOT NULL, charged_at TEXT NOT NULL, UNIQUE (release_id, client))""",
    "CREATE INDEX charges_of_client ON charges (client, share)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_FIXES = {
    sqlite3.SQLITE_BUSY: "another process holds it: try again, with the same release id",
    sqlite3.SQLITE_READONLY_ROLLBACK: "a charge was cut off: opening it as a Ledger rolls it back",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable",
    sqlite3.SQLITE_FULL: "free some space on its disk",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy",
    sqlite3.SQLITE_NOTADB: "it is no ledger: name another file",
}


class LedgerFile:
    """A ledger's file at `path`, for one `target`: (epsilon, delta).

    Made where there is none. Without a target it must be there, is never written to, and
    `target` is what it was made for. `UsageError` where the folder is missing, or the file is not a
    ledger, damaged, of another schema, or made for another target; such a file is not touched.
    `busy_timeout` is in seconds.
    """

    def __init__(self, path: Path, target: tuple[float, float] | None, busy_timeout: float) -> None:
        self.path, self.busy_timeout = path, busy_timeout
        self._mode = "rw" if target else "ro"
        with self._errors(UsageError):
            self._require_place(there=target is None)
        if target:
            self._make(target)
        self.target = target or self._stored_target()
        with self.reading() as db:
            if (found := db.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                said = " ".join(found.split())
                raise UsageError(f"ledger {path}: damaged ({said}); restore it from a copy")

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection within which everything read belongs to one moment."""
        with self._transaction("BEGIN") as db:
            self._check(db)
            yield db

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Give the only connection that writes; what it wrote is on disk on leaving.

        Where the body raises, nothing is written. `RefusedError` where it can't be.
        """
        with self._transaction("BEGIN IMMEDIATE") as db:
            self._check(db)
            yield db

    def _make(self, target: tuple[float, float]) -> None:
        """Write the tables where there are none."""
        with self._transaction("BEGIN", mode="rwc") as db:
            made = self._tables(db) > 0
        if not made:
            with self._transaction("BEGIN IMMEDIATE") as db:
                # Another process may have made it in between.
                if self._tables(db) == 0:
                    for statement in _SCHEMA:
                        db.execute(statement)
                    db.execute("INSERT INTO target VALUES (?, ?)", target)

    def _stored_target(self) -> tuple[float, float]:
        with self._transaction("BEGIN") as db:
            self._check_schema(db)
            return db.execute("SELECT epsilon, delta FROM target").fetchone()

    def _require_place(self, *, there: bool) -> None:
        path = self.path
        if not path.parent.is_dir():
            raise UsageError(f"ledger {path}: there is no folder {path.parent}; make it first")
        if path.is_dir():
            raise UsageError(f"ledger {path}: that is a folder; name a file in it")
        if there and not path.exists():
            raise UsageError(f"ledger {path}: there is no such file; name one that was charged")
        if not path.exists() or (path.stat().st_size == 0 and not there):
            return
        # A foreign database must not even have its journal replayed: `immutable` reads the
        # file as it lies. A plain open() would drop this process's locks on closing.
        with suppress(sqlite3.Error), closing(self._connect("mode=ro&immutable=1")) as db:
            # An error may be another process's half-written commit: those who lock will see.
            if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise UsageError(f"ledger {path}: it is no ledger: name another file")

    def _check_schema(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"ledger {self.path}: written in schema {version}, and this seepage knows "
                f"{SCHEMA_VERSION}; use the seepage that wrote it, or another file"
            )

    def _check(self, db: sqlite3.Connection) -> None:
        self._check_schema(db)
        found = db.execute("SELECT epsilon, delta FROM target").fetchall()
        if found != [self.target]:
            said = " and ".join(f"epsilon {e:g} at delta {d:g}" for e, d in found) or "nothing"
            raise UsageError(
                f"ledger {self.path}: made for {said}, not for epsilon {self.target[0]:g} at "
                f"delta {self.target[1]:g}; a budget stays as it is: use that one, or another file"
            )

    @contextmanager
    def _transaction(self, begin: str, mode: str = "") -> Generator[sqlite3.Connection]:
        refused = UsageError if begin == "BEGIN" else RefusedError
        with self._errors(refused), closing(self._connect(f"mode={mode or self._mode}")) as db:
            db.execute("PRAGMA synchronous = EXTRA")
            db.execute("PRAGMA fullfsync = ON")  # macOS: through the drive's cache too
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute(begin)
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                db.rollback()
                raise

    def _connect(self, options: str) -> sqlite3.Connection:
        address = f"{self.path.as_uri()}?{options}"
        return sqlite3.connect(address, uri=True, timeout=self.busy_timeout, isolation_level=None)

    @contextmanager
    def _errors(self, refused: type[UsageError]) -> Generator[None]:
        """Turn what SQLite says into one line that says how to fix it."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code: int = getattr(error, "sqlite_errorcode", 0)
            otherwise = _FIXES.get(code & 0xFF, "nothing may be released before it can be charged")
            fix = _FIXES.get(code, otherwise)
            raise refused(f"ledger {self.path}: {error}; {fix}") from error

    @staticmethod
    def _tables(db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

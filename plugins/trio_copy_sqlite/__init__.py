"""The durable store of one machine: one SQLite file, written by one engine at a time.

Every answer is on the disk before it is given (WAL, `synchronous=FULL`); calls that come together share one trip to the
disk. Commands such as `trio-copy follow add` may use the file while an engine runs; a second engine may not.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import attrs
import trio
from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Store, StoreContext, StorePlugin
from trio_copy_sqlite.accounts import SqliteAccounts
from trio_copy_sqlite.backup import back_up, restore
from trio_copy_sqlite.control import SqliteControl
from trio_copy_sqlite.files import file_of, open_file
from trio_copy_sqlite.follows import BOOK_VERSION, SqliteFollows
from trio_copy_sqlite.history import SqliteHistory
from trio_copy_sqlite.numbers import number
from trio_copy_sqlite.old_books import export_old
from trio_copy_sqlite.reader import Reader
from trio_copy_sqlite.retention import Retention
from trio_copy_sqlite.transaction import Statements
from trio_copy_sqlite.writer import PATIENCE_S, Writer


def _is_path(instance: object, attribute: "attrs.Attribute[str]", path: str) -> None:
    # To this store each is a file of that name, and who means what SQLite makes of it would find his books kept after all.
    if path.startswith((":memory:", "file:")):
        raise ValueError(f'expected the path of a file, got "{path}"; [store.memory] keeps nothing on a disk')


@frozen(kw_only=True)
class SqliteSettings:
    """Where the file is, and how long it remembers what is over."""

    path: str = setting(
        attrs.NOTHING,
        unit="path of a file",
        why="On a local disk; with -wal, -shm and .lock beside it. Made when it is missing, readable by its owner only.",
        check=_is_path,
    )
    keep_days: float = setting(
        90.0,
        unit="days",
        why="How long skips, the ends of tasks and bookings can be asked for; what they add up to is kept for ever.",
        check=within(1.0, 100_000.0),
    )


@frozen
class SqliteStore:
    accounts: SqliteAccounts
    control: SqliteControl
    follows: SqliteFollows
    history: SqliteHistory


@asynccontextmanager
async def open_sqlite_store(context: StoreContext) -> AsyncGenerator[Store, None]:
    """Open the file; close it after what was asked for is on the disk.

    Raises:
        ConfigError: the file is in use, corrupt, not ours or cannot be written; nothing was started.
    """
    settings: SqliteSettings = context.settings
    wall = context.wall
    with open_file(settings.path, "store.sqlite.path", guest=context.guest, make=context.make) as (connection, files):
        reader = Reader(file_of(settings.path), context.in_thread)
        writer = Writer(connection, files, context.in_thread, context.at, reader if context.guest else None)
        statements = Statements()
        store = SqliteStore(
            accounts=SqliteAccounts(writer, wall, statements),
            control=SqliteControl(writer, wall),
            follows=SqliteFollows(writer),
            history=SqliteHistory(reader),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(writer.run_batches)
            if not context.guest:
                version = number(connection, BOOK_VERSION)
                await nursery.start(Retention(writer, statements, wall, settings.keep_days, version).run)
            try:
                yield store
            finally:
                with trio.CancelScope(shield=True):
                    await writer.flush()
                nursery.cancel_scope.cancel()


@hookimpl
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    register(
        StorePlugin(
            name="sqlite",
            open=open_sqlite_store,
            settings=SqliteSettings,
            durable=True,
            patience_s=lambda settings: PATIENCE_S,
            export_old=export_old,
            back_up=back_up,
            restore=restore,
        )
    )

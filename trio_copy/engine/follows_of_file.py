"""The follows of the configuration, put into the store beside those of commands. Others run meanwhile: both may be many."""

import trio

from trio_copy.config import Settings
from trio_copy.config.settings import FollowTable
from trio_copy.model.follow_columns import FollowColumns
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowKey
from trio_copy.model.slices import Parted, shrink, slices
from trio_copy.ports import Store

_AT_ONCE = 1_000
"""Follows that are made, or told to the store, before others have their turn: some milliseconds."""


async def put_follows_of_file(store: Store, settings: Settings) -> tuple[int, FollowColumns]:
    """Let the store hold the follows of the file; those of an earlier file go, those of commands stay.

    Returns the version and every follow, as `Follows.load` does. Cancelled, or when the store fails, it holds some of them:
    the next start brings the others.
    """
    # Tables, which are there already: a million follows beside them are looked through by the collector in one go.
    wanted = Parted[FollowKey, FollowTable]()
    for tables in slices(settings.follow, _AT_ONCE):
        for table in tables:
            key = (table.follower, table.leader)
            wanted.of(key)[key] = table
        await trio.lowlevel.checkpoint()
    version, held = await _load(store)
    gone = list[FollowKey]()
    for of_file in held.of_source("file", _AT_ONCE):
        for follow in of_file:
            key = follow.key
            part = wanted.of(key)
            if key not in part:
                gone.append(key)
            elif part[key].own == follow.own:
                del part[key]
        await trio.lowlevel.checkpoint()
    if not gone and not wanted:  # mostly nothing has changed, and a large book is not read twice
        return version, held
    for keys in shrink(gone, _AT_ONCE):
        await store.follows.remove(keys)
        await trio.lowlevel.checkpoint()
    fresh = list[Follow]()
    for tables in slices(settings.follow, _AT_ONCE):  # in the order of the file
        for table in tables:
            key = (table.follower, table.leader)
            found = wanted.of(key).pop(key, None)
            if found is not None:
                fresh.append(found.as_follow())
        if len(fresh) >= _AT_ONCE:
            await store.follows.put(fresh)
            fresh = []
        await trio.lowlevel.checkpoint()
    await store.follows.put(fresh)
    return await _load(store)


async def _load(store: Store) -> tuple[int, FollowColumns]:
    version, told = await store.follows.load()
    held = FollowColumns()
    for held in FollowColumns.in_slices(told, _AT_ONCE):  # noqa: B007  the last has them all
        await trio.lowlevel.checkpoint()
    return version, held

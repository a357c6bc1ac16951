"""The follows of the configuration, put into the store beside those of commands. Others run meanwhile: both may be many."""

import trio

from trio_copy.config import Settings
from trio_copy.model.follow_columns import FollowColumns
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowKey
from trio_copy.model.slices import slices
from trio_copy.ports import Store

_AT_ONCE = 1_000
"""Follows that are made, or told to the store, before others have their turn: some milliseconds."""


async def put_follows_of_file(store: Store, settings: Settings) -> tuple[int, FollowColumns]:
    """Let the store hold the follows of the file; those of an earlier file go, those of commands stay.

    Returns the version and every follow, as `Follows.load` does. Cancelled, or when the store fails, it holds some of them:
    the next start brings the others.
    """
    wanted = dict[FollowKey, Follow]()
    for tables in slices(settings.follow, _AT_ONCE):
        wanted.update((follow.key, follow) for follow in (table.as_follow() for table in tables))
        await trio.lowlevel.checkpoint()
    version, held = await _load(store)
    gone = list[FollowKey]()
    for of_file in held.of_source("file", _AT_ONCE):
        for follow in of_file:
            if follow.key not in wanted:
                gone.append(follow.key)
            elif wanted[follow.key].own == follow.own:
                del wanted[follow.key]
        await trio.lowlevel.checkpoint()
    if not gone and not wanted:  # mostly nothing has changed, and a large book is not read twice
        return version, held
    for keys in slices(gone, _AT_ONCE):
        await store.follows.remove(keys)
        await trio.lowlevel.checkpoint()
    for follows in slices(wanted.values(), _AT_ONCE):
        await store.follows.put(follows)
        await trio.lowlevel.checkpoint()
    return await _load(store)


async def _load(store: Store) -> tuple[int, FollowColumns]:
    version, told = await store.follows.load()
    held = FollowColumns()
    for held in FollowColumns.in_slices(told, _AT_ONCE):  # noqa: B007  the last has them all
        await trio.lowlevel.checkpoint()
    return version, held

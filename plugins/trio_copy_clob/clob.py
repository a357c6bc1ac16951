"""Trades on Polymarket's CLOB: the executor `clob`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from trio_copy.hookspecs import hookimpl
from trio_copy.ports import Contracts, Executor, ExecutorContext, ExecutorPlugin, Finding
from trio_copy_clob.settings import ClobSettings


@asynccontextmanager
async def open_clob(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
    """Open the executor; it trades as soon as the venue answers. Raises `PluginError` where what signs is not installed."""
    from trio_copy_clob.executor import open_executor  # not above: `check` needs the settings, and no client

    async with open_executor(context) as executor:
        yield executor


async def examine_clob(context: ExecutorContext, contracts: Contracts) -> Sequence[Finding]:
    """Look at wallets before they trade; see `ports.executor.Examine`."""
    from trio_copy_clob.examining.examine import examine  # not above: as well

    return await examine(context, contracts)


@hookimpl
def trio_copy_register_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    register(
        ExecutorPlugin(
            name="clob",
            open=open_clob,
            settings=ClobSettings,
            moves_money=True,
            rests=True,
            shows_books=True,
            examine=examine_clob,
            signs_orders=True,
        )
    )

"""Copies trades by transactions: the executor `onchain`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from trio_copy.hookspecs import hookimpl
from trio_copy.ports import Contracts, Executor, ExecutorContext, ExecutorPlugin, Finding
from trio_copy_onchain.settings import OnchainSettings


@asynccontextmanager
async def open_onchain(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
    """Open the executor; it trades as soon as a node answers. Raises `PluginError` where what signs is not installed."""
    from trio_copy_onchain.executor import open_executor  # not above: `check` needs the settings alone

    async with open_executor(context) as executor:
        yield executor


async def examine_onchain(context: ExecutorContext, contracts: Contracts) -> Sequence[Finding]:
    """Look at the venues and the wallets; see `ports.executor.Examine`."""
    from trio_copy_onchain.examining.examine import examine  # not above: `check` needs the settings alone

    return await examine(context, contracts)


@hookimpl
def trio_copy_register_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    register(
        ExecutorPlugin(
            name="onchain",
            open=open_onchain,
            settings=OnchainSettings,
            moves_money=True,
            keeps_journal=True,
            examine=examine_onchain,
            acts=True,
        )
    )

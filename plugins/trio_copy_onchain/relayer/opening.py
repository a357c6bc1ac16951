"""Makes what carries, from the settings of an executor."""

from trio_copy.errors import ConfigError
from trio_copy.ports import ExecutorContext
from trio_copy.transactions.relayed import POLYMARKET, RelayContracts
from trio_copy_onchain.relayer.carrying import Carrier
from trio_copy_onchain.relayer.client import RelayerClient
from trio_copy_onchain.relayer.credentials import credentials_of
from trio_copy_onchain.relayer.http import Asker
from trio_copy_onchain.relayer.looking import Looker
from trio_copy_onchain.relayer.making import Maker
from trio_copy_onchain.relayer.settings import RelayerSettings


def make_carrier(
    context: ExecutorContext, settings: RelayerSettings, contracts: RelayContracts = POLYMARKET
) -> Carrier | None:
    """Make the carrier of an executor; None where no key of a relayer, or no node, is configured.

    Raises:
        ConfigError: the key is not whole.
    """
    try:
        credentials = credentials_of(settings)
    except ValueError as error:
        raise ConfigError([f"executor.{context.name}.{error}"]) from None
    if credentials is None or context.nodes is None:
        return None
    client = RelayerClient(
        asker=Asker(url=settings.url, open_socket=context.open_socket),
        credentials=credentials,
        wall=context.wall,
        timeout_s=settings.timeout_s,
    )
    looker = Looker(nodes=context.nodes, chain_id=context.chain_id)
    return Carrier(
        client=client,
        looker=looker,
        maker=Maker(client=client, looker=looker, wall=context.wall, proxy_gas=settings.proxy_gas, contracts=contracts),
        wall=context.wall,
        on_trouble=context.on_trouble,
        poll_s=settings.poll_s,
    )

"""Asks contracts what they say now, of the first node that answers: for a look, not for what is traded by."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import trio
from attrs import define, field

from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.fields import read_data
from trio_copy.chain.requests import check_chain
from trio_copy.chain.session import open_session
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, ConnectionLost, MalformedFrame, NoAnswer, RpcError
from trio_copy.model.ids import Address

_text_decoder = msgspec.json.Decoder(str)


@define(eq=False)
class ContractReader:
    """See `ports.doctor.Contracts`."""

    pool: EndpointPool
    _lost: dict[str, str] = field(factory=dict)

    @property
    def lost(self) -> Mapping[str, str]:
        """Why a node cannot be asked, by its name."""
        return self._lost

    async def code(self, address: Address) -> bytes:
        return await self._ask("eth_getCode", address, "latest") or b""

    async def call(self, to: Address, data: bytes) -> bytes | None:
        return await self._ask("eth_call", {"to": to, "data": f"0x{data.hex()}"}, "latest")

    async def _ask(self, method: str, *params: object) -> bytes | None:
        if not self.pool.live:
            raise ConnectionLost("no node can be asked")

        async def of(endpoint: Endpoint) -> bytes | None:
            try:
                return _bytes_of(await self.pool.ask(endpoint, method, *params))
            except RpcError as error:
                if error.reverted:
                    return None
                raise
            except NoAnswer as error:
                # Once is enough: a look asks many questions, and each would be waited for as long.
                endpoint.session, self._lost[endpoint.name] = None, str(error)
                raise

        return (await self.pool.first_of(of))[0]

    async def hold(self, endpoint: Endpoint, dial: Dial, tried: trio.Event) -> None:
        """Stay connected to a node, for as long as that goes well. Cancelled, the connection is closed."""
        put_aside = partial(self.pool.put_aside, endpoint)
        try:
            async with open_session(dial, endpoint.settings.url, self.pool.settings, put_aside) as session:
                await check_chain(session, self.pool.settings)
                with self.pool.connected(endpoint, session):
                    tried.set()
                    await trio.sleep_forever()
        except ChainError as error:
            self._lost[endpoint.name] = str(error)
        finally:
            tried.set()


@asynccontextmanager
async def open_contracts(
    dial: Dial, endpoints: Sequence[EndpointSettings], chain: ChainSettings, entropy: Entropy
) -> AsyncGenerator[ContractReader, None]:
    """Connect to every node that can be reached, and keep them while the block runs; those that cannot are in `lost`."""
    pool = EndpointPool(
        [Endpoint(endpoint) for endpoint in endpoints],
        lambda kind, detail: None,
        settings=chain,
        entropy=entropy,
        on_trouble=lambda kind, detail: None,
    )
    reader = ContractReader(pool)
    async with trio.open_nursery() as nursery:
        tries = [trio.Event() for _ in pool.endpoints]
        for endpoint, tried in zip(pool.endpoints, tries, strict=True):
            nursery.start_soon(reader.hold, endpoint, dial, tried, name=f"node {endpoint.name}")
        for tried in tries:
            await tried.wait()
        yield reader
        nursery.cancel_scope.cancel()


def _bytes_of(result: msgspec.Raw) -> bytes:
    try:
        return read_data(_text_decoder.decode(result))
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedFrame(f"expected hex data: {error}"[:200]) from None

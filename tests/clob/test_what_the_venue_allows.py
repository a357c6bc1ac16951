"""What a signer has and may do, as the venue tells it: balances, tier, closed-only, the region."""

import pytest
import trio
import trio.testing

from tests.clob.scripted_clob import Says, matched, open_bench
from trio_copy.errors import ExecutorError
from trio_copy.model.ids import TokenId
from trio_copy_clob.sending.balances import Balance, asset, read_balance, refresh_balance
from trio_copy_clob.sending.permissions import is_closed_only, read_region, read_tier

Clock = trio.testing.MockClock


async def test_the_venue_reads_a_balance_again(clock: Clock) -> None:
    """Of the asset that an order needs, in the name of the wallet's type."""
    async with open_bench(matched()) as bench:
        bench.clob.order = Says(200, {"balance": "12500000", "allowances": {"0xE1": str(2**256 - 1)}})
        until = trio.current_time() + 5
        of = asset(TokenId(777), "v3", 2)
        await refresh_balance(bench.signer, of, until)
        balance = await read_balance(bench.signer, asset(None, "v2", 1), until)

        assert balance == Balance(amount=12_500_000, allowances=(("0xe1", 2**256 - 1),))
        assert [(one.path, *one.params.values()) for one in bench.clob.asked[-2:]] == [
            ("/balance-allowance/update", "CONDITIONAL-V2", "777", "2"),
            ("/balance-allowance", "COLLATERAL", "1"),
        ]
        assert asset(TokenId(7), "v2-neg-risk", 0)[0] == ("asset_type", "CONDITIONAL")
        for odd in (b"", b"7", b'{"balance":"-1"}', b'{"balance":"1.5"}', b'{"balance":"1","allowances":[7]}'):
            bench.clob.order = Says(200, odd)
            with pytest.raises(ExecutorError):
                await read_balance(bench.signer, of, until)


async def test_what_the_venue_allows_is_asked(clock: Clock) -> None:
    """The tier counts from then on; what cannot be read allows nothing."""
    async with open_bench(matched()) as bench:
        until = trio.current_time() + 5
        bench.clob.order = Says(200, {"tier": "Gold", "closed_only": True})
        bench.clob.region = Says(200, {"blocked": True, "country": "US", "region": "NY"})
        assert (await read_tier(bench.signer, until)).name == "gold"
        assert bench.signer.limits.orders.bucket.per_s == 400
        assert await is_closed_only(bench.signer, until)
        assert str(await read_region(bench.caller, "/api/geoblock", until)) == "the venue says that US-NY is blocked"
        for odd in (Says(200, b"what"), Says(200, {"closed_only": "no", "blocked": 1}), Says(500, {"blocked": False})):
            bench.clob.order = bench.clob.region = odd
            with pytest.raises(ExecutorError):
                await is_closed_only(bench.signer, until)
            with pytest.raises(ExecutorError):
                await read_region(bench.caller, "/api/geoblock", until)

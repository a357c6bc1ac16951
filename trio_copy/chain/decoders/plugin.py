"""Registers the built-in decoders, through the entry point that everybody uses."""

from collections.abc import Callable

from trio_copy.chain.decoders.erc1155 import Erc1155Decoder, Erc1155Settings
from trio_copy.chain.decoders.fpmm import FpmmDecoder, FpmmSettings
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder, OrderFilledSettings
from trio_copy.chain.decoders.pool import PoolDecoder, PoolSettings
from trio_copy.chain.decoders.resolutions import ResolutionDecoder, ResolutionSettings
from trio_copy.hookspecs import hookimpl
from trio_copy.ports import Decoder, DecoderContext, DecoderPlugin


def _order_filled(context: DecoderContext) -> Decoder:
    settings: OrderFilledSettings = context.settings
    return OrderFilledDecoder(frozenset(settings.exchanges))


def _erc1155(context: DecoderContext) -> Decoder:
    settings: Erc1155Settings = context.settings
    return Erc1155Decoder(
        frozenset(settings.contracts),
        frozenset(settings.venues),
        frozenset(settings.exchanges),
        frozenset(settings.adapters),
        moves=settings.moves,
    )


def _fpmm(context: DecoderContext) -> Decoder:
    settings: FpmmSettings = context.settings
    return FpmmDecoder({pool.address: pool.tokens for pool in settings.pools})


def _pool(context: DecoderContext) -> Decoder:
    settings: PoolSettings = context.settings
    return PoolDecoder({pool.address: pool for pool in settings.pools})


def _resolutions(context: DecoderContext) -> Decoder:
    settings: ResolutionSettings = context.settings
    return ResolutionDecoder(frozenset(settings.contracts), frozenset(settings.modules))


@hookimpl
def trio_copy_register_decoders(register: Callable[[DecoderPlugin], None]) -> None:
    register(DecoderPlugin(name="order-filled", make=_order_filled, settings=OrderFilledSettings))
    register(DecoderPlugin(name="erc1155", make=_erc1155, settings=Erc1155Settings))
    register(DecoderPlugin(name="fpmm", make=_fpmm, settings=FpmmSettings))
    register(DecoderPlugin(name="pool", make=_pool, settings=PoolSettings))
    register(DecoderPlugin(name="resolutions", make=_resolutions, settings=ResolutionSettings))

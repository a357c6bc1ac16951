"""A person's word that a wallet may trade: for a while, on this machine, and for the limits that he saw."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from attrs import frozen

from trio_copy.config.wallets import WalletPolicy
from trio_copy.model.ids import Address, ChainId
from trio_copy.signing.folder import make_private_folder, trouble_of_file, write_private_file

Limits = dict[str, Any]
"""What was shown when it was armed, as plain numbers: kept whole, and not only a hash, so that a limit may be lowered."""


@frozen(kw_only=True)
class Arming:
    """Whether a wallet is armed."""

    until: float = 0.0
    """Unix seconds up to which it is; 0 for one that never was, or was disarmed."""
    why_not: str = ""
    """Why it is not, whatever the time is; empty where only the time decides."""

    def armed(self, now: float) -> bool:
        return not self.why_not and now < self.until


def limits_of(policy: WalletPolicy, chain_id: ChainId) -> Limits:
    """Return the limits of a wallet as they are shown and kept."""
    return {
        "chain_id": int(chain_id),
        "contracts": list(policy.contracts),
        "min_price": policy.min_price.micro,
        "max_price": policy.max_price.micro,
        "max_order_usd": policy.max_order_usd.micro,
        "max_hour_usd": policy.max_hour_usd.micro,
        "max_day_usd": policy.max_day_usd.micro,
        "max_minute_orders": policy.max_minute_orders,
        "max_gas": policy.max_gas.wei,
        "max_day_gas": policy.max_day_gas.wei,
        "collateral": list(policy.collateral),
        "collateral_decimals": policy.collateral_decimals,
        "outcome_decimals": policy.outcome_decimals,
        "conditional": list(policy.conditional),
        "multisend": list(policy.multisend),
    }


def arm(folder: Path, maker: Address, limits: Limits, until: float) -> None:
    """Arm a wallet; durable when this returns. Raises `ConfigError` and `OSError` where it cannot be written down."""
    make_private_folder(folder)
    content = msgspec.json.encode({"until": until, "limits": limits})
    write_private_file(_path(folder, maker), content + b"\n", replace=True)


def disarm(folder: Path, maker: Address) -> bool:
    """Disarm a wallet; returns whether it had been armed. A running engine signs nothing for it from the next second on."""
    path = _path(folder, maker)
    armed = path.exists()
    path.unlink(missing_ok=True)
    return armed


def read_arming(folder: Path, maker: Address, limits: Limits) -> Arming:
    """Tell whether a wallet is armed for limits that are no wider than these. What cannot be read arms nothing."""
    path = _path(folder, maker)
    if not path.exists():
        return Arming(why_not="never armed on this machine, or disarmed")
    if (trouble := trouble_of_file(path)) is not None:
        return Arming(why_not=trouble)
    try:
        read = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        until, armed = float(read["until"]), dict(read["limits"])
        raised = [*_raised(armed, limits)]
    except (OSError, ValueError, KeyError, TypeError):
        return Arming(why_not=f"expected {path} as `trio-copy arm` wrote it")
    return Arming(until=until, why_not=f"raised since it was armed: {', '.join(raised)}" if raised else "")


def _raised(armed: Limits, limits: Limits) -> Iterator[str]:
    for name, value in limits.items():
        if name not in armed:  # by an earlier version, which did not show it
            if name != "max_day_gas":  # and had no end of it: any limit is a lower one
                yield name
            continue
        was = armed[name]
        match name:
            case "chain_id" | "collateral_decimals" | "outcome_decimals":
                wider = value != was
            case "contracts" | "collateral" | "conditional" | "multisend":
                wider = not set(value) <= set(was)
            case "min_price":
                wider = value < was
            case _:
                wider = value > was
        if wider:
            yield name


def _path(folder: Path, maker: Address) -> Path:
    return folder / f"armed-{maker}.json"

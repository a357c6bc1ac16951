"""Has operators refuelled, by the engine that owns the shard of their fleet, or by the command where none does."""

from collections.abc import Callable, Sequence

from attrs import frozen

from trio_copy.cli.acted import Told, coins, have_done
from trio_copy.cli.operators import FUNDING, Known, Operator
from trio_copy.cli.output import out_json
from trio_copy.config import to_checksum
from trio_copy.engine.people.acting import executor_of
from trio_copy.engine.people.fleets import fleet_named, member_of
from trio_copy.engine.plan import Plan
from trio_copy.errors import StoreError
from trio_copy.model.coins import Coins
from trio_copy.model.fleets import Fleet
from trio_copy.ports import Act, ActReport, Deed, Done, PlannedAct, refuel_act
from trio_copy.records import read_plain
from trio_copy.transactions.refuelling import Refuel, Refuels, document_name

Carry = Callable[[Plan, Sequence[Act], Told], Sequence[ActReport]]
"""Has acts of one funding account carried out, and returns what became of each; see `have_refuelled`."""


def have_refuelled(plan: Plan, acts: Sequence[Act], told: Told) -> Sequence[ActReport]:
    """Have a fleet's operators refuelled, one after the other; `told` hears every change.

    Raises:
        ConfigError: nobody can do it.
    """
    funding = acts[0].wallet
    follower = plan.settings.followers()[funding.follower]
    executor_of(plan, follower)
    planned = [PlannedAct(words=(), act=act) for act in acts]
    return have_done(plan, follower, funding, Deed.REFUEL, planned, told)


@frozen(kw_only=True)
class Wanted:
    """What one fleet needs."""

    fleet: Fleet
    refuels: Sequence[Refuel]
    """What an earlier process began is among them: under its key it is done once."""
    words: Sequence[str]
    unserved: bool
    """Whether somebody is low and gets nothing, or is not known."""

    def served(self, carry: Carry, plan: Plan, until: float, *, tell: Callable[[str], None], json: bool) -> bool:
        """Have it carried out; returns whether all of it happened, for good, and nobody is left out."""
        funding = self.fleet.funding
        if not self.refuels or funding is None:
            return not self.unserved

        def told(place: int, report: ActReport) -> None:
            tell(f"{to_checksum(self.refuels[place].operator)}: {_words(report)}")

        reports = carry(plan, [refuel_act(one, funding, until) for one in self.refuels], told)
        for one, report in zip(self.refuels, reports, strict=False) if json else ():
            out_json(
                {
                    "fleet": self.fleet.name,
                    "operator": one.operator,
                    "amount": str(Coins(one.wei)),
                    "done": report.done.name.lower(),
                    "transaction": report.transaction,
                    "why": report.why or None,
                    "gas": str(Coins(report.gas_wei)),
                }
            )
        return not self.unserved and [one.done for one in reports] == [Done.LANDED] * len(self.refuels)


def wanted_by(plan: Plan, name: str, known: Known, now: float) -> Wanted:
    """Work out what a fleet that has a funding account needs. Raises `StoreError` where the store has nonsense."""
    table = plan.settings.fleet[name]
    mine = [one for one in known.operators if one.station.fleet == name]
    (pays,) = (one for one in mine if one.station.place == FUNDING)
    fleet = fleet_named(plan.settings, name, pays.station.address)
    refuels = _stored(plan, fleet, known)
    balances = {
        one.station.address: one.wei for one in mine if one is not pays and one.station.address and one.wei is not None
    }
    unknown = [one for one in mine if one.wei is None]
    due: Sequence[Refuel] = ()
    if pays.wei is not None and known.gas_wei is not None:
        due = refuels.due(balances, pays.wei, known.gas_wei, now)
    begun = refuels.under_way
    served = {one.operator for one in (*due, *begun)}
    left = [one for one in balances if balances[one] < table.low.wei and one not in served]
    words = [f"fleet {name}: {_of_funding(pays)}, {Coins(refuels.spent(now))} of {table.max_day} given within 24 h"]
    words += (f"  {_place(one)}: unknown: {one.trouble}" for one in unknown)
    words += (f"  {to_checksum(one.operator)} is about to get {Coins(one.wei)}" for one in begun)
    words += (
        f"  {to_checksum(one.operator)} has {Coins(balances[one.operator])}, gets {Coins(one.wei)}" for one in due
    )
    words += (f"  {to_checksum(one)} has {Coins(balances[one])}, gets nothing: not enough is left" for one in left)
    if known.gas_wei is None:
        words.append("  no node says what a transfer costs")
    elif due:
        words.append(f"  for gas at most {coins(len(due) * known.gas_wei)} besides")
    elif not (left or unknown or begun):
        words.append(f"  nobody has less than {table.low}")
    return Wanted(
        fleet=fleet, refuels=(*begun, *due), words=words, unserved=bool(left or unknown or known.gas_wei is None)
    )


def _stored(plan: Plan, fleet: Fleet, known: Known) -> Refuels:
    chain_id = plan.settings.chain.chain_id
    body = known.documents.get(f"{member_of(plan.settings, fleet.name).executor}/{document_name(chain_id, fleet.name)}")
    if body is None:
        return Refuels(chain_id=chain_id, fleet=fleet)
    try:
        return Refuels.restored(chain_id, fleet, read_plain(body))
    except ValueError as error:
        raise StoreError(str(error)) from None


def _of_funding(pays: Operator) -> str:
    address = pays.station.address
    named = "the funding account" if address is None else to_checksum(address)
    return f"{named} has {'an unknown balance' if pays.wei is None else Coins(pays.wei)}"


def _place(one: Operator) -> str:
    return one.station.place if one.station.place == FUNDING else f"operator {one.station.place}"


def _words(report: ActReport) -> str:
    why = f": {report.why}" if report.why else ""
    sent = report.transaction
    match report.done:
        case Done.LANDED:
            return f"{sent}: it has it, for good; gas {coins(report.gas_wei)}"
        case Done.MINED:
            return f"{sent}: mined, not final yet"
        case Done.PENDING:
            return f"sent as {sent}, not final yet{why}" if sent else f"no end yet{why}"
        case Done.REFUSED:
            return f"{sent or 'not sent'}: nothing happened{why}"

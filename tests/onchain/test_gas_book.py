"""What gas has cost is counted once, in all and for each wallet, and goes on after a restart."""

import pytest

from tests.builders import POLYGON
from tests.onchain.executing import KeptJournal
from trio_copy.errors import InvariantBroken
from trio_copy.model.ids import Address
from trio_copy.records import read_plain
from trio_copy_onchain.sending.gas_book import GasBook
from trio_copy_onchain.sending.written import Written

OPERATOR, OTHER = Address("0x" + "0a" * 20), Address("0x" + "0b" * 20)
ANN, BOB = Address("0x" + "a1" * 20), Address("0x" + "b1" * 20)


def book(journal: KeptJournal, operator: Address = OPERATOR) -> GasBook:
    return GasBook(journal=journal, chain_id=POLYGON, operator=operator)


def test_each_wallet_has_its_part_and_the_operator_the_whole() -> None:
    journal = KeptJournal()
    book(journal).pay(5, ANN)
    for wei, wallet in ((7, BOB), (11, OPERATOR), (13, ANN)):
        book(journal).pay(wei, wallet)  # each in a process of its own
    book(journal, OTHER).pay(100, ANN)
    assert (book(journal).transactions, book(journal).wei) == (4, 36)
    assert {name: read_plain(body) for name, body in journal.documents().items()} == {
        f"137/{OPERATOR}/gas": [1, 4, 36],
        f"137/gas/{ANN}/{OPERATOR}": [1, 2, 18],
        f"137/gas/{BOB}/{OPERATOR}": [1, 1, 7],
        f"137/{OTHER}/gas": [1, 1, 100],
        f"137/gas/{ANN}/{OTHER}": [1, 1, 100],
    }


@pytest.mark.parametrize("name", [f"137/{OPERATOR}/gas", f"137/gas/{ANN}/{OPERATOR}"])
def test_what_cannot_be_read_is_not_counted_anew(name: str) -> None:
    journal = KeptJournal()
    journal.put(name, b'["nonsense"]')
    with pytest.raises(InvariantBroken, match=f"the gas of {OPERATOR} has cost cannot be read: {name}"):
        book(journal)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'[2, "ab"]'])
def test_what_an_operator_has_sent_and_nobody_can_read_stops_it(body: bytes) -> None:
    """Left out, its key would be sent once more, under another nonce."""
    journal = KeptJournal()
    journal.put(f"137/{OPERATOR}/7/{'ab' * 32}", body)
    with pytest.raises(InvariantBroken, match=f"what {OPERATOR} has sent cannot be read: 7/ab"):
        Written(journal=journal, chain_id=POLYGON, operator=OPERATOR).read()
    assert not Written(journal=journal, chain_id=POLYGON, operator=OTHER).read().bindings

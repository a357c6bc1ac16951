"""What was needed at once, lately."""

from trio_copy_clob.peak import Peak


def test_a_peak_is_remembered_for_an_hour_at_least_and_for_two_at_most() -> None:
    peak = Peak()
    assert peak.lately(0.0) == 0
    for at, count in ((0.0, 3), (1.0, 12), (2.0, 5), (3_000.0, 1)):
        peak.note(count, at)
    assert [peak.lately(at) for at in (3_599.0, 3_601.0, 7_199.0)] == [12, 12, 12]
    peak.note(4, 7_200.0)
    assert [peak.lately(at) for at in (7_201.0, 10_799.0, 10_802.0)] == [4, 4, 0]
    assert peak.lately(100_000.0) == 0

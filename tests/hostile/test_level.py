"""What the summary of a long run of windows says about memory, descriptors and threads."""

from fuzz.level import Sample, level

MB = 1_000_000


def run(minutes, memory=lambda _: 400 * MB, descriptors=lambda _: 15, threads=lambda _: 28):
    """A window each minute; what it leaves, as functions of the minute."""
    return [Sample(60.0 * m, int(memory(m)), descriptors(m), threads(m)) for m in range(1, minutes + 1)]


def test_what_fills_in_the_first_ten_minutes_is_no_growth():
    words, faults = level(run(60, memory=lambda m: (250 + 15 * min(m, 10)) * MB))
    assert not faults
    assert words.endswith("325, 400, 400, 400, 400, 400 MB; after the second ten minutes +0.0% to +0.0%.")


def test_memory_that_creeps_by_more_than_five_percent_is_a_fault():
    slow, fast = (level(run(60, memory=lambda m, each=each: (400 + each * m) * MB)) for each in (0.4, 0.6))
    assert "+1.0% to +4.0%" in slow[0] and not slow[1]  # 400 + 0.4 * 55 over 400 + 0.4 * 14.5: 1.03992
    assert fast[1] == ["memory grew by 5.9% after the second ten minutes: 403, 409, 415, 421, 427, 433 MB"]


def test_one_window_with_much_memory_is_no_growth():
    assert not level(run(60, memory=lambda m: (900 if m == 33 else 400) * MB))[1]


def test_descriptors_and_threads_have_room_for_four():
    assert not level(run(40, threads=lambda m: 28 + m // 10))[1]
    _, faults = level(run(60, descriptors=lambda m: 15 + 2 * (m // 10), threads=lambda m: 28 + m))
    assert [each.split()[0] for each in faults] == ["descriptors", "threads"]


def test_a_short_run_says_that_nothing_is_judged():
    for minutes in (3, 20):
        words, faults = level(run(minutes, memory=lambda m: 100 * m * MB))
        assert words == "Growth is judged in runs of at least 25 minutes." and not faults

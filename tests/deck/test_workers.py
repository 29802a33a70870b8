"""Worker processes: every task's result with its number, as few tasks queued as possible, and nothing left running."""

import multiprocessing
import os
import threading
import time

import pytest

from desktop_app.figures.deck.workers import Workers
from desktop_app.gpt2.errors import Cancelled, ExportError
from desktop_app.gpt2.session import Stop


def test_results_come_with_their_tasks_number_and_few_tasks_are_made_ahead():
    made = []

    def tasks():
        for n in range(12):
            made.append(n)
            yield divmod, (n, 5)

    with Workers(2) as workers:
        found = {}
        for number, result in workers.each(tasks()):
            found[number] = result
            assert len(made) <= len(found) + 3
        assert workers.call(abs, -7) == 7
    assert found == {n: divmod(n, 5) for n in range(12)}
    assert not multiprocessing.active_children()


def test_a_task_that_fails_says_why_and_ends_the_others():
    with pytest.raises(ZeroDivisionError), Workers(1) as workers:
        list(workers.each((divmod, (n, n - 2)) for n in range(5)))
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_is_told_in_a_sentence():
    with pytest.raises(ExportError, match="ended unexpectedly"), Workers(1) as workers:
        workers.call(os._exit, 9)


def test_stopping_ends_a_task_in_its_middle(tmp_path):
    stop, begun = Stop(), tmp_path / "begun"

    def stop_it():
        while not begun.exists():
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=stop_it, daemon=True).start()
    with pytest.raises(Cancelled), Workers(1, stop) as workers:
        workers.call(_sleep, begun)
    assert begun.exists() and not multiprocessing.active_children()


def _sleep(begun):
    begun.touch()
    threading.Event().wait(600)

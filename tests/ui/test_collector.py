"""Garbage is collected in the window's thread, whichever thread made it."""

import gc
import threading

from desktop_app.ui.desks.lanes import Lane


class Cycle:
    """An object that only garbage collection can free, and that notes which thread did."""

    def __init__(self, freed_in: list[threading.Thread]) -> None:
        self.itself, self.freed_in = self, freed_in

    def __del__(self) -> None:
        self.freed_in.append(threading.current_thread())


def test_what_a_worker_leaves_in_cycles_is_destroyed_in_the_windows_thread(qapp, qtbot):
    freed_in: list[threading.Thread] = []
    lane = Lane("litter")
    many = 40 * gc.get_threshold()[0]  # Python itself would collect some forty times in the worker
    lane.submit(lambda _: [Cycle(freed_in) for _ in range(many)] and None)
    qtbot.waitUntil(lambda: len(freed_in) == many, timeout=20_000)
    lane.close()
    assert set(freed_in) == {threading.main_thread()}


def test_loading_modules_leaves_automatic_collection_off_while_a_window_is_open(qapp):
    from desktop_app.launch import loading

    with loading():
        pass
    try:
        assert not gc.isenabled()
    finally:
        gc.unfreeze()

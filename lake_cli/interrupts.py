"""Ctrl-C and requests to end (SIGTERM, SIGHUP), also while Dagster runs a job in this process."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals() -> None:
    """Let these signals raise KeyboardInterrupt. SIGINT also where a script's `&` had it ignored; SIGHUP not under `nohup`."""
    for number in ENDING:
        if number is not signal.SIGHUP or signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def ignore_signals() -> None:
    """From here on nothing interrupts: what was started is being stopped."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupts_raised() -> Iterator[None]:
    """Raise KeyboardInterrupt after the block if one of the signals came in it.

    Around a job that Dagster runs in this process: it takes the handlers over, makes a signal within a step that step's
    failure and may forget one that comes between two steps; the caller hears of neither. But Python tells a file descriptor
    of every signal, whoever handles it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in ENDING}
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():  # Dagster gives SIGTERM that of SIGINT
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            received = set(pipe.read() or b"")
    if received & set(ENDING):
        raise KeyboardInterrupt

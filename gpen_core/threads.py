"""Threads for work on a CPU, and how many of its cores each computes with.

OpenMP keeps a team of threads for every thread that computes with several cores. Where all teams together are more than
the cores, it lets them sleep between any two steps of a network, and half as much again is waited for. So one thread
at a time computes with all cores, and whatever runs beside it with one, or with its share.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import torch

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


def each_has_its_cores() -> bool:
    """Whether threads can compute with other numbers of cores than each other: by OpenMP, as torch is usually built."""
    return bool(torch.backends.openmp.is_available())  # type: ignore[no-untyped-call]


def use_cores(count: int) -> None:
    """Lets the thread that asks compute with so many cores from now on, where each can have its own number."""
    if each_has_its_cores() and torch.get_num_threads() != count:
        torch.set_num_threads(count)


def _let_threads_begin_with(cores: int) -> None:
    """Threads made from now on compute with what was set last, by any thread; the one that asks has so many already."""
    if each_has_its_cores():
        torch.set_num_threads(cores)


def lanes_on(device: torch.device, most: int) -> int:
    """As many lanes as a CPU has cores to share out, `most` at most; one on an accelerator, which wants batches."""
    if device.type != "cpu" or not each_has_its_cores():
        return 1
    return min(torch.get_num_threads(), most)


class ThreadsBeside(ThreadPoolExecutor):
    """A pool of threads that compute with one core each, or with `cores`, beside a thread that works with all."""

    def __init__(self, count: int, name: str, cores: int = 1) -> None:
        self._cores = torch.get_num_threads()
        super().__init__(count, name, use_cores, (cores,))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads once they have done what they were given."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        _let_threads_begin_with(self._cores)


def with_modes_of_this_thread(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, for another thread: torch's modes, of inference and of gradients, are a thread's own."""
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function(*args, **kwargs)

    return called


def side_by_side(function: Callable[[A], T], arguments: Iterable[A], count: int) -> Iterator[T]:
    """What `function` gives of each argument, in order, in `count` threads that share the cores of the one that asks;
    a few are held at a time.

    count: 1 calls it in the thread that asks, with all its cores.
    """
    if count == 1:
        yield from map(function, arguments)
        return
    with ThreadsBeside(count, "side by side", max(1, torch.get_num_threads() // count)) as threads:
        try:
            begun: deque[Future[T]] = deque()
            function = with_modes_of_this_thread(function)
            for argument in arguments:
                begun.append(threads.submit(function, argument))
                del argument
                if len(begun) > count:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


class OneThread(Executor):
    """Runs what it is given in one thread, in that order; what still runs does not keep the process from ending.

    cores: that it computes with; None: as many as the thread that makes it.
    """

    def __init__(self, cores: int | None = None) -> None:
        self._before = torch.get_num_threads()
        self.cores = self._before if cores is None else cores
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="restore", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The future of what `fn` gives or raises; it sees the context variables and torch's modes of whoever asks."""
        future: Future[T] = Future()
        fn = with_modes_of_this_thread(fn)
        self._asked.put((future, partial(contextvars.copy_context().run, fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the thread once it has done what it was given; nobody waits for that."""
        self._asked.put(None)
        _let_threads_begin_with(self._before)

    def _work(self) -> None:
        use_cores(self.cores)
        while (asked := self._asked.get()) is not None:
            future, call = asked
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # Whoever waits for the result is told, whatever it is.
                    future.set_exception(error)
            del asked, future, call

"""Requests abreast of each other, and an end to them that waits for no hanging server."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def abreast(width: int, name: str) -> Iterator[Executor]:
    """At most `width` requests in flight, in threads of this name; after an error no further one is begun.

    Whoever interrupts waits for none that is under way: each of them is whole or not done at the server.
    """
    pool = ThreadPoolExecutor(width, thread_name_prefix=name)
    try:
        yield pool
    except BaseException as error:
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()

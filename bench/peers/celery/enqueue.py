"""Fills the queue before the worker starts: a first mark, COUNT empty tasks, a last mark."""

import sys

from tasks import app, empty, reached

count, url = int(sys.argv[1]), sys.argv[2]
with app.producer_pool.acquire(block=True) as producer:
    reached.apply_async((f"{url}/first",), producer=producer)
    for _ in range(count):
        empty.apply_async(producer=producer)
    reached.apply_async((f"{url}/last",), producer=producer)

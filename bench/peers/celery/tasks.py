"""The Celery application: an empty task, and one that tells the bench that it was reached.

AMQP_URL says which broker; `celery worker --concurrency` says how many processes.
"""

import os
import urllib.request

from celery import Celery

app = Celery("bench", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_default_queue="celery",
    task_default_queue_type="quorum",
    worker_detect_quorum_queues=True,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "64")),
    worker_send_task_events=False,
    task_store_errors_even_if_ignored=False,
)


@app.task
def empty():
    """What is measured: nothing but Celery."""


@app.task
def reached(url):
    """Tells the bench that the worker has come this far in the queue."""
    urllib.request.urlopen(url, timeout=10).read()

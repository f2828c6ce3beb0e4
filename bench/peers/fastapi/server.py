"""A webhook receiver on FastAPI and aio-pika: verifies, publishes, waits for the confirm, answers 202.

AMQP_URL, QUEUE and SIGNING_SECRET (whsec_...) say where and what; uvicorn's --workers says how many.
"""

import base64
import hashlib
import hmac
import os
import time
from contextlib import asynccontextmanager

import aio_pika
from fastapi import FastAPI, Request, Response

TOLERANCE_SECONDS = 300
QUEUE = os.environ["QUEUE"]
KEY = base64.b64decode(os.environ["SIGNING_SECRET"].removeprefix("whsec_"))


@asynccontextmanager
async def lifespan(app: FastAPI):
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with connection:
        # A channel with publisher confirms: each publish waits for its own, many are in flight at once.
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        app.state.exchange = channel.default_exchange
        yield


app = FastAPI(lifespan=lifespan)


def is_signed(headers, body: bytes) -> bool:
    """Standard Webhooks: HMAC-SHA256 over id, timestamp and raw body; any of several signatures may match."""
    identifier = headers.get("webhook-id")
    timestamp = headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not identifier or not timestamp or not signatures:
        return False
    try:
        if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
            return False
    except ValueError:
        return False
    digest = hmac.digest(KEY, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256)
    expected = b"v1," + base64.b64encode(digest)
    return any(hmac.compare_digest(entry.encode(), expected) for entry in signatures.split(" "))


@app.post("/webhook/openai")
async def webhook(request: Request) -> Response:
    body = await request.body()
    if not is_signed(request.headers, body):
        return Response(status_code=401)
    message = aio_pika.Message(
        body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=request.headers["webhook-id"],
    )
    await app.state.exchange.publish(message, routing_key=QUEUE)
    return Response(status_code=202)


@app.get("/health/ready")
async def ready() -> Response:
    return Response(status_code=200)

"""Proofs for schemathesis (./dev contract): API keys, and signatures over the bytes that are sent.

A header that a case leaves out is not put back, so that a missing one is still refused.
"""

import base64
import hashlib
import hmac
import os
import time

import schemathesis
from requests.auth import AuthBase

API_KEY = os.environ["CONTRACT_API_KEY"]
BASE_URL = os.environ["CONTRACT_BASE_URL"]
OPENAI_SECRET = base64.b64decode(os.environ["CONTRACT_OPENAI_SECRET"].removeprefix("whsec_"))
HUBSPOT_SECRET = os.environ["CONTRACT_HUBSPOT_SECRET"].encode()
WEBHOOK_SECRET = os.environ["CONTRACT_WEBHOOK_SECRET"]

TIMESTAMP = "X-HubSpot-Request-Timestamp"

CLIENT_ROUTES = [
    "/generate",
    "/submit-job",
    "/job-status/{id}",
    "/batch-config",
    "/queue-status",
    "/batch-status/{contact_id}",
    "/force-process-batch/{contact_id}",
]


def body_of(request):
    body = request.body or b""
    return body.encode() if isinstance(body, str) else body


def hmac_sha256(key, message):
    return hmac.new(key, message, hashlib.sha256)


def base64_hmac(key, message):
    return base64.b64encode(hmac_sha256(key, message).digest()).decode()


def text_of(header):
    return header.decode("latin-1") if isinstance(header, bytes) else header


class ApiKey(AuthBase):
    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {API_KEY}"
        return request


class OpenAi(AuthBase):
    def __call__(self, request):
        now = str(int(time.time()))
        if "webhook-timestamp" in request.headers:
            request.headers["webhook-timestamp"] = now
        identifier = text_of(request.headers.get("webhook-id", ""))
        signed = f"{identifier}.{now}.".encode("latin-1", "replace") + body_of(request)
        request.headers["webhook-signature"] = "v1," + base64_hmac(OPENAI_SECRET, signed)
        return request


class HubSpot(AuthBase):
    def __call__(self, request):
        now = str(int(time.time() * 1000))
        # The workflow action's timestamp is not described, because its older signature has none.
        if TIMESTAMP in request.headers or request.path_url.endswith("/workflow"):
            request.headers[TIMESTAMP] = now
        signed = f"POST{BASE_URL}{request.path_url}".encode() + body_of(request) + now.encode()
        request.headers["X-HubSpot-Signature-v3"] = base64_hmac(HUBSPOT_SECRET, signed)
        return request


class HighLevel(AuthBase):
    def __call__(self, request):
        signature = hmac_sha256(WEBHOOK_SECRET.encode(), body_of(request)).hexdigest()
        request.headers["X-Webhook-Signature"] = f"sha256={signature}"
        return request


schemathesis.auth.set_from_requests(ApiKey()).apply_to(path=CLIENT_ROUTES)
schemathesis.auth.set_from_requests(OpenAi()).apply_to(path="/webhook/openai")
schemathesis.auth.set_from_requests(HubSpot()).apply_to(
    path=["/webhook/hubspot", "/webhook/hubspot/workflow"]
)
schemathesis.auth.set_from_requests(HighLevel()).apply_to(path=["/webhook", "/webhook/highlevel"])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """The right secret, most of the time."""
    if path_parameters and "secret" in path_parameters and len(path_parameters["secret"]) % 3:
        path_parameters["secret"] = WEBHOOK_SECRET
    return path_parameters

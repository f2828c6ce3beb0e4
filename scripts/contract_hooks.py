"""Proofs for schemathesis (./dev contract): API keys, and signatures over the bytes that are sent.

A case with wrong or missing headers gets no proof, so that it is still refused.
"""

import base64
import hashlib
import hmac
import os
import threading
import time

import schemathesis
from requests.auth import AuthBase
from schemathesis.core.parameters import ParameterLocation

API_KEY = os.environ["CONTRACT_API_KEY"]
BASE_URL = os.environ["CONTRACT_BASE_URL"]
OPENAI_SECRET = base64.b64decode(os.environ["CONTRACT_OPENAI_SECRET"].removeprefix("whsec_"))
HUBSPOT_SECRET = os.environ["CONTRACT_HUBSPOT_SECRET"].encode()
WEBHOOK_SECRET = os.environ["CONTRACT_WEBHOOK_SECRET"]

CLIENT_ROUTES = [
    "/generate",
    "/submit-job",
    "/job-status/{id}",
    "/batch-config",
    "/queue-status",
    "/batch-status/{contact_id}",
    "/force-process-batch/{contact_id}",
]


# Whether the headers of the case that is being sent are wrong on purpose.
current = threading.local()


@schemathesis.hook
def before_call(context, case, kwargs):
    current.unproven = bool(case.meta and case.meta.is_negative_at(ParameterLocation.HEADER))


class Proof(AuthBase):
    def __call__(self, request):
        if not getattr(current, "unproven", False):
            self.prove(request)
        return request


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


class OpenAi(Proof):
    def prove(self, request):
        now = str(int(time.time()))
        request.headers["webhook-timestamp"] = now
        identifier = text_of(request.headers.get("webhook-id", ""))
        signed = f"{identifier}.{now}.".encode("latin-1", "replace") + body_of(request)
        request.headers["webhook-signature"] = "v1," + base64_hmac(OPENAI_SECRET, signed)


class HubSpot(Proof):
    def prove(self, request):
        now = str(int(time.time() * 1000))
        request.headers["X-HubSpot-Request-Timestamp"] = now
        signed = f"POST{BASE_URL}{request.path_url}".encode() + body_of(request) + now.encode()
        request.headers["X-HubSpot-Signature-v3"] = base64_hmac(HUBSPOT_SECRET, signed)


class HighLevel(Proof):
    def prove(self, request):
        signature = hmac_sha256(WEBHOOK_SECRET.encode(), body_of(request)).hexdigest()
        request.headers["X-Webhook-Signature"] = f"sha256={signature}"


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

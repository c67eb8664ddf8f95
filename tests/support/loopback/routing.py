"""Which request is for what: kinds, the account, and the calls of Kaggle's interface."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from tests.support.loopback import notebooks, submitting
from tests.support.loopback import service as kaggle
from tests.support.loopback.protocol import Answer, Request, json_answer, refusal
from tests.support.loopback.service import Service

REFRESH_TOKEN = "refre5h-0f-7he-7es7"
_API = "/api/v1/"
_CALLS: dict[str, Callable[[Service, Request], Answer]] = {
    "ListDataFiles": kaggle.list_files,
    "DownloadDataFile": kaggle.download,
    "DownloadDataFiles": kaggle.download_all,
    "GetDataset": kaggle.dataset,
    "DownloadDataset": kaggle.download_dataset,
    "StartSubmissionUpload": submitting.start,
    "CreateSubmission": submitting.create,
    "CreateCodeSubmission": notebooks.submit,
    "ListSubmissions": submitting.listing,
    "GetSubmissionLimits": submitting.limits,
}
_OF_DATASETS = ("GetDataset", "DownloadDataset")


def kind(request: Request, port: int) -> str:
    """Return what a request is about: a method's name, `storage`, `upload` or `outside`."""
    own = request.host == f"127.0.0.1:{port}"
    if request.method == "CONNECT" or not (own or request.host == "localhost"):
        return "outside"
    if request.path.startswith(_API) and request.method == "POST":
        return request.path.rsplit("/", 1)[-1]
    return "upload" if request.method == "PUT" else "storage"


def call(service: Service, request: Request) -> Answer:
    """Answer a call of Kaggle's interface."""
    name, body = request.kind, request.body
    if name == "IntrospectToken":
        return json_answer(_about_token(service, body.get("token")))
    if name == "GenerateAccessToken":
        return _new_token(service, body)
    if name in notebooks.CALLS and _is_account(service, request.authorization):
        return notebooks.CALLS[name](service, request)
    if name not in _CALLS:
        return refusal(404, f"There is no method {name}")
    if not _is_account(service, request.authorization):
        open_to_all = name in _OF_DATASETS and request.authorization is None
        if not open_to_all:
            return refusal(401, "Unauthenticated")
    return _missing(service, name, body) or _CALLS[name](service, request)


def _missing(service: Service, name: str, body: dict[str, Any]) -> Answer | None:
    if name not in _OF_DATASETS:
        slug = body.get("competitionName")
        return None if slug in service.competitions else refusal(404, f"Not found: {slug}")
    ref = f"{body.get('ownerSlug')}/{body.get('datasetSlug')}"
    if ref not in service.datasets:
        return refusal(404, f"Dataset not found: {ref}")
    if service.datasets[ref].is_private:
        return refusal(403, "Permission 'datasets.get' was denied")
    return None


def _is_account(service: Service, authorization: str | None) -> bool:
    pair = base64.b64encode(f"{service.username}:{service.key}".encode()).decode()
    return authorization in (f"Bearer {service.token}", f"Basic {pair}")


def _about_token(service: Service, token: str | None) -> dict[str, Any]:
    if token != service.token:
        return {"active": False}
    return {"active": True, "username": service.username, "userId": 1}


def _new_token(service: Service, body: dict[str, Any]) -> Answer:
    if body.get("refreshToken") != REFRESH_TOKEN:
        return refusal(401, "The refresh token is not valid")
    about = {"userName": service.username, "userId": 1, "expiresIn": 43_200}
    return json_answer({"token": service.token, **about})

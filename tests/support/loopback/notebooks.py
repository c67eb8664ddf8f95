"""Kaggle's side of a notebook: its data set, its versions, their runs, and a submission of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.loopback.protocol import Answer, Request, json_answer, refusal
from tests.support.loopback.service import Dataset, Notebook, Service, Upload
from tests.support.loopback.submitting import accept, refused_by


def start_blob(service: Service, request: Request) -> Answer:
    """Answer StartBlobUpload: a token and the upload address."""
    token = f"file-{len(service.uploads) + 1}"
    service.uploads[token] = Upload(request.body["name"], request.body.get("contentLength", 0))
    return json_answer({"token": token, "createUrl": service.signed(f"/upload/{token}")})


def create_dataset(service: Service, request: Request) -> Answer:
    """Answer CreateDataset."""
    body = request.body
    return _add_version(service, f"{body['ownerSlug']}/{body['slug']}", body)


def create_version(service: Service, request: Request) -> Answer:
    """Answer CreateDatasetVersion."""
    return _add_version(service, _dataset_ref(request), request.body["body"])


def _add_version(service: Service, ref: str, body: dict[str, Any]) -> Answer:
    uploads = [service.uploads[file["token"]] for file in body.get("files", [])]
    if not uploads or any(upload.body is None for upload in uploads):
        return refusal(400, "A file was not uploaded.")
    dataset = service.datasets.setdefault(ref, Dataset(version=0))
    dataset.version += 1
    dataset.names = sorted(upload.file_name for upload in uploads)
    return json_answer({"ref": ref, "status": "ok"})


def dataset_status(service: Service, request: Request) -> Answer:
    """Answer GetDatasetStatus; what is not there is refused, as Kaggle does."""
    dataset = service.datasets.get(_dataset_ref(request))
    if dataset is None or not dataset.version:
        return refusal(403, "Permission 'datasets.get' was denied")
    dataset.processing -= 1
    return json_answer({"status": "BLOBS_RECEIVED" if dataset.processing >= 0 else dataset.state})


def save(service: Service, request: Request) -> Answer:
    """Answer SaveKernel: another version, whose run begins; or why not."""
    notebook = service.notebooks.setdefault(request.body["slug"], Notebook())
    if notebook.refusal:
        return json_answer({"error": notebook.refusal})
    notebook.pushed.append(request.body)
    number = len(notebook.pushed)
    return json_answer({"ref": f"/code/{request.body['slug']}", "versionNumber": number})


def run_status(service: Service, request: Request) -> Answer:
    """Answer GetKernelSessionStatus."""
    notebook = service.notebooks.get(_notebook_ref(request))
    if notebook is None or not notebook.pushed:
        return refusal(403, "Permission 'kernels.get' was denied")
    if notebook.old_running:
        notebook.old_running -= 1
        return json_answer({"status": "RUNNING"})
    is_new = len(notebook.pushed) > notebook.old_versions
    if notebook.lag or not is_new:
        notebook.lag -= is_new
        return json_answer({"status": notebook.old_state, "failureMessage": "Of the run before"})
    notebook.running -= 1
    if notebook.running >= 0:
        return json_answer({"status": "RUNNING"})
    return json_answer({"status": notebook.state, "failureMessage": notebook.message})


def output(service: Service, request: Request) -> Answer:
    """Answer ListKernelSessionOutput, of which the log counts."""
    return json_answer({"log": service.notebooks[_notebook_ref(request)].log})


def submit(service: Service, request: Request) -> Answer:
    """Answer CreateCodeSubmission: accept a version of a notebook, or say why not."""
    body = request.body
    competition = service.competitions[body["competitionName"]]
    notebook = service.notebooks.get(f"{body['kernelOwner']}/{body['kernelSlug']}")
    if refused := refused_by(competition):
        return refused
    if notebook is None or not 1 <= body["kernelVersion"] <= len(notebook.pushed):
        return refusal(404, "Kernel version not found")
    if notebook.running >= 0:
        return refusal(400, "Kernel version has not finished")
    return accept(competition, request, body["fileName"], b"")


def _dataset_ref(request: Request) -> str:
    return f"{request.body['ownerSlug']}/{request.body['datasetSlug']}"


def _notebook_ref(request: Request) -> str:
    return f"{request.body['userName']}/{request.body['kernelSlug']}"


CALLS: dict[str, Callable[[Service, Request], Answer]] = {
    "StartBlobUpload": start_blob,
    "CreateDataset": create_dataset,
    "CreateDatasetVersion": create_version,
    "GetDatasetStatus": dataset_status,
    "SaveKernel": save,
    "GetKernelSessionStatus": run_status,
    "ListKernelSessionOutput": output,
}

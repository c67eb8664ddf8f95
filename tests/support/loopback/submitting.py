"""Kaggle's side of a submission: a place for the file, the file, its acceptance, the list."""

from __future__ import annotations

from typing import Any

from tests.support.loopback.protocol import Answer, Request, json_answer, refusal
from tests.support.loopback.service import (
    Competition,
    Service,
    Submission,
    Upload,
    day,
    paged,
    stamp,
)


def start(service: Service, request: Request) -> Answer:
    """Answer StartSubmissionUpload: a token and the upload address."""
    asked = request.body
    refused = refused_by(service.competitions[asked["competitionName"]])
    if refused:
        return refused
    token = f"blob-{len(service.uploads) + 1}"
    service.uploads[token] = Upload(asked.get("fileName", ""), asked.get("contentLength", 0))
    return json_answer({"token": token, "createUrl": service.signed(f"/upload/{token}")})


def put(service: Service, request: Request, body: bytes) -> Answer:
    """Save an uploaded file, if it is complete and has the announced size."""
    upload = service.uploads.get(request.path.removeprefix("/upload/"))
    if upload is None:
        return Answer(404)
    if request.headers.get("content-range", "").startswith("bytes */"):  # how far is it?
        return Answer(308 if upload.body is None else 200)
    if len(body) != request.length or len(body) != upload.size:
        return Answer(400)
    upload.body = body
    return Answer(200)


def create(service: Service, request: Request) -> Answer:
    """Answer CreateSubmission: accept an uploaded file, or say why not."""
    competition = service.competitions[request.body["competitionName"]]
    upload = service.uploads.get(request.body.get("blobFileTokens", ""))
    refused = refused_by(competition)
    if refused:
        return refused
    if upload is None or upload.body is None:
        return refusal(400, "Submission not found: the file was not uploaded.")
    return accept(competition, request, upload.file_name, upload.body)


def accept(competition: Competition, request: Request, file_name: str, body: bytes) -> Answer:
    """Add a submission, and answer with its number."""
    competition.allowed -= 1
    number = len(competition.submissions)
    made = Submission(
        ref=20_000_001 + number,
        description=request.body.get("submissionDescription", ""),
        file_name=file_name,
        body=body,
        date=day(number),
        unseen=competition.lag,
        pending=competition.pending,
    )
    competition.submissions.append(made)
    return json_answer(
        {"message": f"Successfully submitted to {competition.title}", "ref": made.ref}
    )


def listing(service: Service, request: Request) -> Answer:
    """Answer ListSubmissions, newest first; a listing is counted by its first page."""
    competition = service.competitions[request.body["competitionName"]]
    first = request.body.get("page", 1) == 1 and not request.body.get("pageToken")
    for submission in competition.submissions if first else []:
        _grow_older(submission, competition)
    seen = [item for item in competition.submissions if item.unseen < 0]
    page, following = paged([_row(item) for item in reversed(seen)], request)
    return json_answer({"submissions": page, "nextPageToken": following})


def limits(service: Service, request: Request) -> Answer:
    """Answer GetSubmissionLimits."""
    competition = service.competitions[request.body["competitionName"]]
    made = sum(each.status != "ERROR" for each in competition.submissions)
    today, left = competition.stated_limits or (made, max(0, competition.allowed))
    return json_answer({"numToday": today, "numTotal": made, "numAllowedNow": left})


def refused_by(competition: Competition) -> Answer | None:
    if not competition.rules_accepted:
        return refusal(403, "You must accept this competition's rules before you continue.")
    if not competition.open:
        return refusal(400, "This competition is closed and takes no more submissions.")
    if competition.allowed < 1:
        return refusal(
            400,
            f"Your team has used its daily Submission allowance ({len(competition.submissions)})"
            " today, please try again tomorrow UTC (5.0 hours from now).",
        )
    return None


def _grow_older(submission: Submission, competition: Competition) -> None:
    """Count one listing: left out for `unseen` of them, then unscored for `pending`."""
    if submission.unseen >= 0:
        submission.unseen -= 1
    if submission.unseen >= 0 or submission.status != "PENDING":
        return
    submission.pending -= 1
    if submission.pending >= 0:
        return
    submission.status = "ERROR" if competition.error else "COMPLETE"
    submission.error = competition.error
    if not competition.error:
        submission.public, submission.private = competition.public, competition.private


def _row(submission: Submission) -> dict[str, Any]:
    row = {
        "ref": submission.ref,
        "totalBytes": submission.size,
        "date": stamp(submission.date),
        "description": submission.description,
        "errorDescription": submission.error,
        "fileName": submission.file_name,
        "publicScore": submission.public,
        "privateScore": submission.private,
        "status": submission.status,
        "submittedBy": "darkroom",
        "teamName": "darkroom",
        "url": f"https://www.kaggle.com/submissions/{submission.ref}/{submission.ref}.raw",
    }
    return {name: value for name, value in row.items() if value != ""}

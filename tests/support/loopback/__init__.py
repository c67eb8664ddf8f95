"""A server on loopback that imitates Kaggle and its storage, and their faults.

    with Kaggle() as kaggle:
        kaggle.competitions["carvana-image-masking-challenge"] = Competition({"train.zip": body})
        kaggle.play("storage", Cut(0.3), Status(503, retry_after="0"))  # then no fault
        kaggle.redirect_clients(monkeypatch)  # or subprocess.run(..., env=kaggle.environ())
        ...
        starts = [request.range_start for request in kaggle.requests_of("storage")]
        assert starts == [None, 300, 300]

Kinds of requests: the names of the methods that `routing` knows, `storage` (GET of a body),
`upload` (PUT of a file), `outside`. Every answer is counted and recorded before it is sent;
`bytes_sent` of a client that was killed may be more than it read.
"""

from tests.support.loopback.faults import (
    Corrupt,
    Cut,
    CutAt,
    CutBody,
    Drip,
    Fault,
    Gzip,
    Hang,
    IgnoreRange,
    Length,
    NewVersion,
    NoAnswer,
    NoHash,
    NoValidators,
    Page,
    Redirect,
    Refuse,
    Stall,
    Status,
    WrongRange,
)
from tests.support.loopback.protocol import Request
from tests.support.loopback.routing import REFRESH_TOKEN
from tests.support.loopback.server import KEY, TOKEN, USERNAME, WRONG_TOKEN, Kaggle
from tests.support.loopback.service import Competition, Dataset, Notebook, Submission

__all__ = [
    "KEY",
    "REFRESH_TOKEN",
    "TOKEN",
    "USERNAME",
    "WRONG_TOKEN",
    "Competition",
    "Corrupt",
    "Cut",
    "CutAt",
    "CutBody",
    "Dataset",
    "Drip",
    "Fault",
    "Gzip",
    "Hang",
    "IgnoreRange",
    "Kaggle",
    "Length",
    "NewVersion",
    "NoAnswer",
    "NoHash",
    "NoValidators",
    "Notebook",
    "Page",
    "Redirect",
    "Refuse",
    "Request",
    "Stall",
    "Status",
    "Submission",
    "WrongRange",
]

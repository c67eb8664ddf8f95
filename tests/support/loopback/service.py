"""What Kaggle keeps: competitions, data sets, submissions; and its answers about them.

Names and forms are those that kagglesdk reads: camelCase JSON, enumerations by name, dates
with seven digits after the second.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from tests.support.loopback.protocol import Answer, Request, json_answer, refusal
from tests.support.loopback.storage import Held

FIRST_DAY = datetime(2017, 9, 1, 12, tzinfo=UTC)


@dataclass
class Submission:
    """A submission that was accepted.

    Attributes:
        unseen: Listings that still leave it out.
        pending: Listings that still show it without a score.
    """

    ref: int
    description: str
    file_name: str
    body: bytes = field(repr=False)
    date: datetime
    status: Literal["PENDING", "COMPLETE", "ERROR"] = "PENDING"
    public: str = ""
    private: str = ""
    error: str = ""
    unseen: int = 0
    pending: int = 0

    @property
    def sha256(self) -> str:
        """Of the uploaded bytes."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def size(self) -> int:
        """Of the uploaded bytes."""
        return len(self.body)


@dataclass
class Competition:
    """A competition, seen by one team.

    Attributes:
        files: Bodies by name; a name may hold folders.
        listed: Sizes listed where they are not those of the files, bytes.
        packed: Names that are sent as a zip of one member, as Kaggle does with single tables.
        bundle: All as one zip, where that is not just the files.
        allowed: Submissions left today.
        stated_limits: Submissions of today and those left, if they are not the true ones.
        submissions: What was accepted, oldest first.
        lag: Listings that leave a new submission out.
        pending: Listings that show it without a score, after that.
        public, private: The score it gets; private "" keeps it secret.
        error: Why it cannot be scored, if it is not to be.
    """

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    listed: dict[str, int] = field(default_factory=dict)
    packed: set[str] = field(default_factory=set)
    bundle: bytes = field(default=b"", repr=False)
    title: str = "Carvana Image Masking Challenge"
    rules_accepted: bool = True
    open: bool = True
    allowed: int = 5
    stated_limits: tuple[int, int] | None = None
    submissions: list[Submission] = field(default_factory=list)
    lag: int = 0
    pending: int = 0
    public: str = "0.99512"
    private: str = "0.99487"
    error: str = ""


@dataclass
class Dataset:
    """A data set: one zip a version, or the names of the files that were pushed.

    `listed`: the stated size, bytes. A private one is refused. `processing`: states asked for
    before a pushed version has the final one, `state`.
    """

    version: int = 1
    bundle: bytes = field(default=b"", repr=False)
    older: dict[int, bytes] = field(default_factory=dict, repr=False)
    listed: int | None = None
    is_private: bool = False
    names: list[str] = field(default_factory=list)
    processing: int = 0
    state: str = "READY"

    def bundles(self) -> dict[int, bytes]:
        """Return the zips by version."""
        return {**self.older, self.version: self.bundle}


@dataclass
class Notebook:
    """A notebook, pushed or to come.

    Attributes:
        pushed: The calls that pushed its versions, oldest first.
        running: States asked for until its run ends.
        lag: States asked for after a push that are still those of the run before.
        old_state: How that ended.
        old_running: States asked for until that ends.
        state: That it ends with; `message` beside it, and `log`.
        refusal: Why Kaggle does not take it: a quota, say.
    """

    pushed: list[dict[str, Any]] = field(default_factory=list)
    running: int = 0
    lag: int = 0
    old_state: Literal["COMPLETE", "ERROR"] = "COMPLETE"
    old_running: int = 0
    state: Literal["COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED"] = "COMPLETE"
    message: str = ""
    log: str = ""
    refusal: str = ""

    def __post_init__(self) -> None:
        self.old_versions = len(self.pushed)


@dataclass
class Upload:
    """An upload address that was given out; `body` is None until the file is complete."""

    file_name: str
    size: int
    body: bytes | None = None


@dataclass
class Service:
    """The state of the server. `signed` makes the address of a body or an upload from its path."""

    signed: Callable[[str], str]
    token: str
    username: str
    key: str
    competitions: dict[str, Competition] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    notebooks: dict[str, Notebook] = field(default_factory=dict)


def locate(service: Service, path: str) -> Held | None:
    """Return what is held at a path of the storage, or among the plain files."""
    match path.split("/", 3):
        case ["", "storage", "competitions", rest]:
            slug, _, name = rest.partition("/")
            return _competition_body(service.competitions.get(slug), name)
        case ["", "storage", "bundles", rest]:
            return _everything(service.competitions.get(rest.partition("/")[0]))
        case ["", "storage", "datasets", rest]:
            ref, version, name = rest.rsplit("/", 2)
            return _bundle(service.datasets.get(ref), int(version), name)
    if path not in service.files:
        return None
    return Held(path, service.files[path], lambda body: service.files.update({path: body}))


def download(service: Service, request: Request) -> Answer:
    """Answer DownloadDataFile: the way to the storage."""
    competition = service.competitions[request.body["competitionName"]]
    name = request.body.get("fileName", "")
    if not competition.rules_accepted:
        return refusal(403, "You must accept this competition's rules before you continue.")
    if name not in competition.files:
        return refusal(404, f"File not found: {name}")
    suffix = ".zip" if name in competition.packed else ""
    place = f"/storage/competitions/{request.body['competitionName']}/{name}{suffix}"
    return Answer(302, {"Location": service.signed(quote(place))})


def download_all(service: Service, request: Request) -> Answer:
    """Answer DownloadDataFiles: the way to the zip of all files."""
    slug = request.body["competitionName"]
    if not service.competitions[slug].rules_accepted:
        return refusal(403, "You must accept this competition's rules before you continue.")
    return Answer(302, {"Location": service.signed(f"/storage/bundles/{slug}/all.zip")})


def download_dataset(service: Service, request: Request) -> Answer:
    """Answer DownloadDataset: the way to the zip of a version."""
    ref = _ref(request)
    dataset = service.datasets[ref]
    version = request.body.get("datasetVersionNumber", dataset.version)
    if version not in dataset.bundles():
        return refusal(404, f"Version {version} of {ref} was not found")
    return Answer(302, {"Location": service.signed(f"/storage/datasets/{ref}/{version}/all.zip")})


def dataset(service: Service, request: Request) -> Answer:
    """Answer GetDataset."""
    ref = _ref(request)
    kept = service.datasets[ref]
    size = len(kept.bundle) if kept.listed is None else kept.listed
    about = {"id": 29561, "ref": ref, "title": ref, "lastUpdated": stamp(FIRST_DAY)}
    return json_answer({**about, "totalBytes": size, "currentVersionNumber": kept.version})


def list_files(service: Service, request: Request) -> Answer:
    """Answer ListDataFiles, page by page."""
    competition = service.competitions[request.body["competitionName"]]
    if not competition.rules_accepted:
        return refusal(403, "You must accept this competition's rules before you continue.")
    sizes = {name: len(body) for name, body in competition.files.items()} | competition.listed
    rows = [
        {"ref": name, "name": name, "totalBytes": size, "creationDate": stamp(FIRST_DAY)}
        for name, size in sorted(sizes.items())
    ]
    page, following = paged(rows, request)
    return json_answer({"files": page, "nextPageToken": following})


def paged(rows: list[dict[str, Any]], request: Request) -> tuple[list[dict[str, Any]], str]:
    """Return one page of the rows, at most 200, and the token of the following one."""
    size = min(request.body.get("pageSize") or 20, 200)
    token = request.body.get("pageToken")
    first = int(token) if token else (request.body.get("page", 1) - 1) * size
    end = first + size
    return rows[first:end], str(end) if end < len(rows) else ""


def stamp(moment: datetime) -> str:
    """Return a date as Kaggle writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"


def day(number: int) -> datetime:
    """Return the moment of the submission of a number: an hour apart, always the same."""
    return FIRST_DAY + timedelta(hours=number)


def _ref(request: Request) -> str:
    return f"{request.body['ownerSlug']}/{request.body['datasetSlug']}"


def _competition_body(competition: Competition | None, name: str) -> Held | None:
    if competition is None:
        return None

    def replace(body: bytes) -> None:
        competition.files[plain] = body

    plain = name if name in competition.files else name.removesuffix(".zip")
    if plain not in competition.files:
        return None
    body = competition.files[plain]
    alone = {plain.rsplit("/", 1)[-1]: body}
    return Held(name, body if plain == name else _zip(alone), replace)


def _everything(competition: Competition | None) -> Held | None:
    if competition is None:
        return None

    def replace(body: bytes) -> None:
        competition.bundle = body

    return Held("all.zip", competition.bundle or _zip(competition.files), replace)


def _bundle(dataset: Dataset | None, version: int, name: str) -> Held | None:
    if dataset is None or version not in dataset.bundles():
        return None

    def replace(body: bytes) -> None:
        if version == dataset.version:
            dataset.bundle = body
        else:
            dataset.older[version] = body

    return Held(name, dataset.bundles()[version], replace)


def _zip(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2017, 7, 24, 12, 0, 0)), body)
    return packed.getvalue()

"""Failures between a submission and Kaggle, run after run, and the expected outcome of each."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api as client
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.upload.idempotency import Upload, lock
from darkroom.submission.upload.reconcile import SETTLED_S
from darkroom.submission.upload.send import UploadState, find_submission, send_submission
from tests.support.loopback import Cut, CutBody, Fault, Kaggle, NoAnswer, Page, Refuse, Status
from tests.support.uploads import SLUG, kaggle_on_loopback, upload_of

TRIES = 8
DAY_S = 86_400.0
OFTEN = 10_000  # listings: more than anybody looks at
CALLS = ("ListSubmissions", "StartSubmissionUpload", "upload", "CreateSubmission")
NEW, THERE, KILLED = "new", "there", "killed"  # outcomes; any other is among an error's words
LOST = "it may or may not have arrived: the answer was lost, and Kaggle does not list it"
COUNTED = "Kaggle counts a submission that it does not list: it may be this one"
MESSAGE = "U-Net, 512 px: \N{GREEK SMALL LETTER EPSILON}"

Faults = Mapping[str, tuple[Fault | None, ...]]


class Clock:
    """A clock that only waiting moves, s since 1970."""

    def __init__(self) -> None:
        self.now = 1_500_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Run:
    """One run of the command.

    Attributes:
        outcome: What comes of it.
        held: Submissions on the server afterwards.
        played: What goes wrong, request by request.
        always: What goes wrong with every request of a kind.
        later: How long after the run before, s.
        killed: When it is killed: uploading, creating or accepted.
        lag: Listings that leave a new submission out.
    """

    outcome: str
    held: int
    played: Callable[[random.Random], Faults] = lambda _: {}
    always: Mapping[str, Fault] = field(default_factory=dict)
    later: float = 1.0
    killed: str | None = None
    lag: int = 0


class KilledError(BaseException):
    """The end of a process."""


def some(kind: str, fault: Fault) -> Callable[[random.Random], Faults]:
    """Return a fault that comes one to five times in a row."""
    return lambda rng: {kind: (fault,) * rng.randint(1, 5)}


def create(fault: Fault) -> Callable[[random.Random], Faults]:
    """Return a fault of the first CreateSubmission."""
    return lambda _: {"CreateSubmission": (fault,)}


def put_off(seconds: float) -> Callable[[random.Random], Faults]:
    """Return a server that asks for a pause before it takes anything."""
    fault = Status(429, retry_after=f"{seconds:.0f}")
    return lambda _: {"StartSubmissionUpload": (fault,)}


def cut_off(fault: Fault) -> Callable[[random.Random], Faults]:
    """Return a fault of the first CreateSubmission, and a list that fails from then on."""
    failing = (None, None, *[Status(500)] * TRIES)
    return lambda _: {"CreateSubmission": (fault,), "ListSubmissions": failing}


RETRIED: dict[str, tuple[Run, ...]] = {
    f"{kind} {name}": (Run(NEW, 1, some(kind, fault)),)
    for kind in CALLS
    for name, fault in (
        ("429", Status(429)),
        ("429 saying when", Status(429, retry_after="3")),
        ("500", Status(500)),
        ("503", Status(503)),
        ("refused", Refuse()),
    )
    if kind != "CreateSubmission" or "429" in name
}
SCENARIOS: dict[str, tuple[Run, ...]] = {
    **RETRIED,
    "all goes well": (Run(NEW, 1), Run(THERE, 1), Run(THERE, 1, later=DAY_S)),
    "the list lags": (Run(NEW, 1, lag=OFTEN), Run(THERE, 1), Run(THERE, 1, later=DAY_S)),
    "the list never answers": (
        Run("the list of submissions: gave up", 0, always={"ListSubmissions": Status(500)}),
        Run(NEW, 1),
    ),
    "the address for the upload never comes": (
        Run("gave up after 8 failures", 0, always={"StartSubmissionUpload": Refuse()}),
        Run(NEW, 1),
    ),
    "the address for the upload is lost": (Run(NEW, 1, some("StartSubmissionUpload", NoAnswer())),),
    "upload cut before the PUT": (Run(NEW, 1, some("upload", Refuse())),),
    "upload cut during the PUT": (
        Run(NEW, 1, lambda rng: {"upload": (CutBody(rng.random()),) * rng.randint(1, 5)}),
    ),
    "upload cut after the PUT": (Run(NEW, 1, some("upload", NoAnswer())),),
    "upload forbidden": (Run(NEW, 1, lambda _: {"upload": (Status(403),) * 2}),),
    "upload forbidden for good": (
        Run("the storage behind Kaggle refuses the file", 0, always={"upload": Status(403)}),
        Run(NEW, 1),
    ),
    "upload always cut": (
        Run("the file did not reach Kaggle", 0, always={"upload": CutBody(0.5)}),
        Run(NEW, 1),
    ),
    "CreateSubmission refused": (
        Run("Not this file, please", 0, create(Status(400, message="Not this file, please"))),
        Run(NEW, 1),
    ),
    "CreateSubmission forbidden": (
        Run("rules are not accepted", 0, create(Status(403))),
        Run(NEW, 1),
    ),
    "CreateSubmission put off for ever": (
        Run("429 Too Many Requests", 0, always={"CreateSubmission": Status(429)}),
        Run(NEW, 1),
    ),
    "CreateSubmission put off for hours": (
        Run("asks for a long pause", 0, create(Status(429, retry_after="7200"))),
        Run(NEW, 1),
    ),
    "killed during the upload": (Run(KILLED, 0, killed="uploading"), Run(NEW, 1)),
    "killed between acceptance and record": (
        Run(KILLED, 1, killed="accepted"),
        Run(THERE, 1),
    ),
    "killed between acceptance and record, the list lags": (
        Run(KILLED, 1, killed="accepted", lag=2 * TRIES),
        Run(LOST, 1),
        Run(THERE, 1),
    ),
    "put off for long, killed after acceptance, the list lags": (
        Run(KILLED, 1, put_off(SETTLED_S + 100), killed="accepted", lag=2 * TRIES),
        Run(LOST, 1),
        Run(THERE, 1),
    ),
    "killed before CreateSubmission": (
        Run(KILLED, 0, killed="creating"),
        Run(LOST, 0),
        Run(NEW, 1, later=SETTLED_S),
    ),
}
LOSSES: dict[str, Fault] = {"answer lost": NoAnswer(), "answer cut": Cut(0.5)}
for _name, _fault in LOSSES.items():
    SCENARIOS |= {
        _name: (Run(NEW, 1, create(_fault)), Run(THERE, 1)),
        f"{_name}, the list lags": (Run(NEW, 1, create(_fault), lag=TRIES - 2), Run(THERE, 1)),
        f"{_name}, the list lags long": (
            Run(LOST, 1, create(_fault), lag=TRIES + 3),
            Run(THERE, 1),
        ),
        f"{_name}, the list lags longer": (
            Run(LOST, 1, create(_fault), lag=3 * TRIES),
            Run(LOST, 1),
            Run(THERE, 1),
        ),
        f"{_name}, the list lags beyond ten minutes": (
            Run(LOST, 1, create(_fault), lag=TRIES + 2),
            Run(COUNTED, 1, later=SETTLED_S),
            Run(COUNTED, 1, later=SETTLED_S),
            Run(THERE, 1),
        ),
        f"{_name}, the list fails too": (
            Run(LOST, 1, cut_off(_fault)),
            Run(THERE, 1),
        ),
    }
REFUSALS: dict[str, Fault] = {
    "cut": Refuse(),
    "500": Status(500),
    "503 as a page": Status(503, html=True),
    "a login page": Page(),
}
for _name, _fault in REFUSALS.items():
    SCENARIOS[f"not accepted, {_name}"] = (
        Run(LOST, 0, create(_fault)),
        Run(LOST, 0),
        Run(NEW, 1, later=SETTLED_S),
        Run(THERE, 1),
    )


def submit(
    upload: Upload, clock: Clock, *, resend: bool = False, recorded: Collection[int] = ()
) -> tuple[bool, UploadState]:
    """Submit as the command does; return whether it was sent now, and what is there."""
    policy = RetryPolicy(tries=TRIES, sleep=clock.sleep)
    with lock(upload):
        state = find_submission(
            upload, resend=resend, policy=policy, recorded=recorded, clock=clock
        )
        if state.reference is not None:
            return False, state
        return True, send_submission(upload, state.key, MESSAGE, policy=policy, clock=clock)


def play(name: str, number: int, folder: Path) -> tuple[int, str]:
    """Play a scenario, hold each run to it; return what the server holds, and errors' words."""
    rng, clock, words = random.Random(f"{name} {number}"), Clock(), ""
    file = upload_of(folder, rng.randbytes(rng.randint(1, 200_000)))
    with kaggle_on_loopback() as kaggle:
        for run in SCENARIOS[name]:
            words += play_run(run, kaggle, file, clock, rng)
        return len(kaggle.competitions[SLUG].submissions), words


def play_run(run: Run, kaggle: Kaggle, file: Upload, clock: Clock, rng: random.Random) -> str:
    competition = kaggle.competitions[SLUG]
    competition.lag = run.lag
    clock.sleep(run.later)
    for call in CALLS:
        kaggle.always(call, *([run.always[call]] if call in run.always else []))
    for call, faults in run.played(rng).items():
        kaggle.play(call, *faults)
    words = ""
    with pytest.MonkeyPatch.context() as patch:
        if run.killed:
            kill(patch, run.killed)
        try:
            is_new, state = submit(file, clock)
            outcome = NEW if is_new else THERE
        except KilledError:
            outcome, state = KILLED, None
        except RemoteError as error:
            outcome, state, words = "refused", None, str(error)

    if run.outcome in (NEW, THERE, KILLED):
        assert (outcome, words) == (run.outcome, "")
    else:
        assert outcome == "refused"
        assert run.outcome in words
    assert kaggle.unused_faults() == [], "a fault that no request met"
    assert len(competition.submissions) == run.held
    for each in competition.submissions:
        mark = file.sha256[:12]
        assert each.sha256 == file.sha256
        assert each.description == f"darkroom {mark}: {MESSAGE}"
        assert each.file_name == f"carvana-{mark}.csv.gz"
    if state is not None:
        assert competition.submissions, "a success that is none"
        assert state.reference == competition.submissions[-1].ref
        assert state.submission is None or state.submission.ref == state.reference
    return words


def kill(patch: pytest.MonkeyPatch, moment: str) -> None:
    """End the run uploading (before CreateSubmission), creating (just before), or accepted."""
    real = client.submit

    def submit_and_die(
        slug: str,
        path: Path,
        description: str,
        *,
        progress: bool,
        before_create: Callable[[], None],
    ) -> int:
        def step() -> None:
            if moment == "uploading":
                raise KilledError
            before_create()
            if moment == "creating":
                raise KilledError

        real(slug, path, description, progress=progress, before_create=step)
        raise KilledError

    patch.setattr(client, "submit", submit_and_die)

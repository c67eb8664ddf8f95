"""What may go wrong during a download from Kaggle, and the expected result."""

import io
import random
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tests.support.loopback import (
    TOKEN,
    WRONG_TOKEN,
    Corrupt,
    Cut,
    CutAt,
    Drip,
    Fault,
    Gzip,
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

SIZE, SMALL = 2_000_000, 200_000
LOGIN = Page()
CUT = "train.zip: the connection was cut; retry in 1 s (1 of 8)"
BUSY = "the server answered 429 Too Many Requests; retry in"
SPOILT = "the download is not the file"

Faults = tuple[Fault | tuple[Fault, ...] | None, ...]


@cache
def archive(size: int, seed: int = 0) -> bytes:
    """Return a zip of about so many bytes, all of them covered by its CRC or its structure."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(zipfile.ZipInfo("train/1.jpg"), random.Random(seed).randbytes(size))
    return packed.getvalue()


@dataclass(frozen=True)
class Scenario:
    """Faults, and the expected result.

    Attributes:
        storage: Faults of the requests for the body, in order.
        calls: Faults of Kaggle's own methods, by name.
        always: Faults of every request for the body.
        says: Words of each retry that is told, in order.
        refusal: Words of the error in the end; none: the file comes.
        size: Of the file, bytes.
        token: The account's.
        rules_accepted: Whether the competition lets the account in.
        name: What is asked for.
        starts: Where the requests for the body begin, if that is certain.
        becomes: The seed of the file that takes the first one's place, if one does.
        is_silent: Whether the server stops answering: the time-out is shortened.
    """

    storage: Faults = ()
    calls: Mapping[str, Faults] = field(default_factory=dict)
    always: tuple[Fault, ...] = ()
    says: tuple[str, ...] = ()
    refusal: tuple[str, ...] = ()
    size: int = SMALL
    token: str | None = TOKEN
    rules_accepted: bool = True
    name: str = "train.zip"
    starts: tuple[int | None, ...] | None = None
    becomes: int = 0
    is_silent: bool = False


def _tenth(count: int) -> Scenario:
    byte = SIZE * count // 10
    return Scenario((CutAt(byte),), says=(CUT,), size=SIZE, starts=(None, byte))


NEW = archive(SMALL, 1)
HALF = SMALL // 2
DOWNLOAD = "DownloadDataFile"
SCENARIOS: dict[str, Scenario] = {
    "all goes well": Scenario(starts=(None,)),
    "all goes well, without a checksum": Scenario(always=(NoHash(),), starts=(None,)),
    "no token": Scenario(
        token=None,
        refusal=("Kaggle requires an account, and none is set up here", "create a token at"),
    ),
    "a wrong token": Scenario(
        token=WRONG_TOKEN, refusal=("Kaggle does not accept the token in KAGGLE_API_TOKEN",)
    ),
    "401 in the middle": Scenario(
        (Cut(0.5),),
        {DOWNLOAD: (None, Status(401))},
        says=(CUT,),
        refusal=("Kaggle does not accept the token in KAGGLE_API_TOKEN", "create a new token at"),
    ),
    "rules not accepted": Scenario(
        rules_accepted=False,
        refusal=(
            "Kaggle refuses: usually because the competition's rules are not accepted yet",
            "open https://www.kaggle.com/competitions/carvana-image-masking-challenge/rules",
        ),
    ),
    "a wrong name": Scenario(
        name="trian.zip",
        refusal=("Kaggle has nothing of that name", "compare it with the page https://www"),
    ),
    "429": Scenario(calls={DOWNLOAD: (Status(429),)}, says=(f"{BUSY} 1 s (1 of 8)",)),
    "429 saying when": Scenario(
        calls={DOWNLOAD: (Status(429, retry_after="7"), Status(429, retry_after="9"))},
        says=(f"{BUSY} 7 s (1 of 8)", f"{BUSY} 9 s (2 of 8)"),
    ),
    "429 for hours": Scenario(
        calls={DOWNLOAD: (Status(429, retry_after="7200"),)},
        refusal=("asks for a long pause", "found: a pause of 2 h"),
    ),
    "429 from the storage": Scenario((Status(429),), says=(f"{BUSY} 1 s (1 of 8)",)),
    "500, then success": Scenario(
        calls={DOWNLOAD: (Status(500), Status(503))},
        says=("500 Internal Server Error; retry in 1 s", "503 Service Unavailable; retry in 2 s"),
    ),
    "500 from the storage": Scenario((Status(500),), says=("500 Internal Server Error",)),
    "500 while it goes on": Scenario(
        (CutAt(HALF), Status(500)), says=(CUT, "500 Internal"), starts=(None, HALF, HALF)
    ),
    "500 for ever": Scenario(
        always=(Status(500),),
        says=("500 Internal Server Error",) * 7,
        refusal=("gave up after 8 failures in a row", "is kept"),
    ),
    "403 from the storage": Scenario(
        (Status(403),), refusal=("the storage behind Kaggle refuses the file",)
    ),
    "403 while it goes on": Scenario(
        (CutAt(HALF), Status(403, html=True)),
        says=(CUT,),
        refusal=("the storage behind Kaggle refuses the file", "found: 403 Forbidden"),
    ),
    **{f"cut at {count}0 %": _tenth(count) for count in range(1, 10)},
    "cut at every tenth in turn": Scenario(
        tuple(CutAt(SIZE * count // 10) for count in range(1, 10)),
        says=(CUT,) * 9,
        size=SIZE,
        starts=(None, *(SIZE * count // 10 for count in range(1, 10))),
    ),
    "closed before an answer": Scenario((Refuse(),), says=("retry in 1 s (1 of 8)",)),
    "Kaggle closes before an answer": Scenario(
        calls={DOWNLOAD: (Refuse(), NoAnswer())},
        says=("retry in 1 s (1 of 8)", "retry in 2 s (2 of 8)"),
    ),
    "announced too long": Scenario((Length(SMALL * 2),), says=(CUT,)),
    "announced too short": Scenario((Length(HALF),), says=(SPOILT,)),
    "announced too short, without a checksum": Scenario(
        ((Length(HALF), NoHash()),), says=(SPOILT,)
    ),
    "a wrong checksum once": Scenario((Corrupt(),), says=(f"{SPOILT} (its md5 differs)",)),
    "a wrong checksum always": Scenario(
        always=(Corrupt(),),
        says=(f"{SPOILT} (its md5 differs)",),
        refusal=(f"{SPOILT}: its md5 differs", "found: ", "expected: "),
    ),
    "a wrong byte, without a checksum": Scenario(
        ((Corrupt(), NoHash()),), says=(f"{SPOILT} (the archive is damaged)",)
    ),
    "Range ignored": Scenario(
        (CutAt(HALF), IgnoreRange()), says=(CUT,), starts=(None, HALF)
    ),
    "another range": Scenario((CutAt(HALF), WrongRange(1000)), says=(CUT,)),
    "ETag changed between parts": Scenario(
        (CutAt(HALF), NewVersion(NEW)), says=(CUT,), becomes=1
    ),
    "changed between parts, without a checksum": Scenario(
        ((CutAt(HALF), NoHash()), (NewVersion(NEW), NoHash())), says=(CUT,), becomes=1
    ),
    "changed between parts, nothing tells": Scenario(
        (
            (CutAt(HALF), NoHash(), NoValidators()),
            (NewVersion(NEW), NoHash(), NoValidators()),
        ),
        says=(CUT,),
        becomes=1,
    ),
    "redirects": Scenario((Redirect(2),), starts=(None, None, None)),
    "a redirect while it goes on": Scenario((CutAt(HALF), Redirect(1)), says=(CUT,)),
    "redirects without end": Scenario(
        always=(Redirect(1),), refusal=("redirects without end",)
    ),
    "a page instead of the file": Scenario(
        (LOGIN,), refusal=("the server sent a web page instead of the file", "Sign in | Kaggle")
    ),
    "a page while it goes on": Scenario(
        (CutAt(HALF), LOGIN),
        says=(CUT,),
        refusal=("the server sent a web page instead of the file",),
    ),
    "a page instead of Kaggle's answer": Scenario(
        calls={"ListDataFiles": (LOGIN,)}, refusal=("a web page came instead of Kaggle's response",)
    ),
    "compressed on its way": Scenario(
        (Gzip(),), refusal=("the server compresses the file", "Content-Encoding: gzip")
    ),
    "a slow drip": Scenario(always=(Drip(SMALL // 20, 0.001),), starts=(None,)),
    "silent in the middle": Scenario(
        (Stall(0.5, 60.0),), says=("the server did not answer in time",), is_silent=True
    ),
}  # fmt: skip

"""What another clone, an odd list or a wrong clock brings: the file is not sent twice."""

from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.waits import Waits
from darkroom.submission import pending, upload
from darkroom.submission.pending import Note
from darkroom.submission.upload import SETTLED_S
from tests.loopback import Kaggle, Page
from tests.submission.parcels import SLUG, parcel
from tests.submission.scenarios import LOST, MESSAGE, TRIES, Clock, submit


def test_another_clone_that_sends_at_the_same_moment(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    mine, theirs = parcel(tmp_path / "a", b"rows"), parcel(tmp_path / "b", b"rows")
    waits = Waits(tries=TRIES, sleep=clock.sleep)
    found = upload.find(mine, another=False, waits=waits, clock=clock)
    submit(theirs, clock)
    [held] = kaggle.competitions[SLUG].submissions
    sent = upload.send(mine, found.mark, MESSAGE, waits=waits, clock=clock)
    assert (sent.reference, sent.is_new) == (held.ref, False)
    assert len(kaggle.competitions[SLUG].submissions) == 1
    assert pending.read(mine.folder, mine.sha256[:12]) == []


def test_one_listed_without_a_number_is_not_sent_again(
    kaggle: Kaggle, clock: Clock, tmp_path: Path
) -> None:
    file = parcel(tmp_path, b"rows")
    entry = f'{{"ref": "abc", "fileName": "carvana-{file.sha256[:12]}.csv.gz"}}'
    kaggle.play("ListSubmissions", *[Page(f'{{"submissions": [{entry}]}}')] * 2)
    with pytest.raises(RemoteError, match="lists it, but without a number"):
        submit(file, clock)
    assert kaggle.competitions[SLUG].submissions == []


def test_a_clock_that_was_set_back(kaggle: Kaggle, clock: Clock, tmp_path: Path) -> None:
    file = parcel(tmp_path, b"rows")
    mark = file.sha256[:12]
    pending.write(file.folder, Note(mark, clock.now + 30 * 86_400))
    with pytest.raises(RemoteError, match=LOST):
        submit(file, clock)
    clock.sleep(SETTLED_S)
    assert submit(file, clock)[0]

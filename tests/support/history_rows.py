"""A row of the history, as a value and as lines of the file."""

from datetime import UTC, datetime

from darkroom.submission.history.file import HistoryRow

SHA256, COMMIT = "ab" * 32, "0123456789" * 4
ROW = HistoryRow(
    time=datetime(2017, 9, 27, 23, 59, 1, tzinfo=UTC),
    name="cars",
    sha256=SHA256,
    fingerprint="c0ffee",
    commit=f"{COMMIT}-dirty",
    metric="dice",
    local=0.9966,
    message="U-Net",
    reference=31415926,
    status="complete",
    public=0.5,
    private=None,
)
LINES = (
    "time,name,sha256,fingerprint,commit,metric,local,message,reference,status,public,private\n",
    f"2017-09-27T23:59:01Z,cars,{SHA256},c0ffee,{COMMIT}-dirty,dice,0.9966,U-Net,31415926,"
    "complete,0.5,\n",
)

"""Raw files from a list of addresses: sizes requested first, checksums compared."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import SSLError as BrokenTLS

from darkroom.errors import RemoteError
from darkroom.index.assembly.build import build_index
from darkroom.params.data import Data
from darkroom.raw.archives import Archives
from darkroom.raw.sources.plan import Selection
from darkroom.raw.sources.required import required_files
from darkroom.raw.sources.servers import UrlFile, fetch_urls
from darkroom.remote.retry import RetryPolicy
from tests.support import tiny
from tests.support.loopback import Kaggle, Page, Redirect, Status

DATA = Data.model_validate(tiny.shipped("banknotes"))
QUICK = RetryPolicy(tries=3, sleep=lambda _: None)
TRAINING, VALIDATION = "training_labels.csv", "validation_labels.csv"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    """Return a server that has the course's files, and one more file."""
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    tiny.banknotes(tmp_path / "source")
    with Kaggle() as kaggle:
        for path in sorted((tmp_path / "source").iterdir()):
            kaggle.files[f"/course/{path.name}"] = path.read_bytes()
        kaggle.files["/course/readme.txt"] = b"not needed"
        yield kaggle


def urls(server: Kaggle, sha256: dict[str, str] | None = None) -> list[UrlFile]:
    """Return the server's addresses."""
    return [
        UrlFile(
            url=server.url(f"{path}?signed=secret"),
            name=path.rpartition("/")[2],
            sha256=(sha256 or {}).get(path.rpartition("/")[2]),
        )
        for path in server.files
    ]


def select(tmp_path: Path) -> Selection:
    def choose(names: object) -> list[str]:
        assert isinstance(names, list)
        return required_files(names, DATA)

    return Selection(choose, tmp_path / "raw", QUICK)


def test_only_wanted_addresses_are_fetched_and_only_once(
    server: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.play("storage", Redirect(), Status(503, retry_after="0"))
    folder, names = fetch_urls(urls(server), select(tmp_path))
    assert folder.parent == tmp_path / "cache" / "urls"
    assert len(names) == 6
    for name in names:
        assert (folder / name).read_bytes() == server.files[f"/course/{name}"]
    assert not [r for r in server.requests if r.path.endswith("readme.txt")]
    output = capfd.readouterr().err
    assert "to fetch from 127.0.0.1: " in output
    assert "secret" not in output
    server.requests.clear()
    assert fetch_urls(urls(server), select(tmp_path)) == (folder, names)
    assert server.requests == []
    index = build_index(Archives(folder, tmp_path / "spool"), DATA)
    assert len(index.rows) == 42


def test_a_sha256_is_compared_with_the_bytes(server: Kaggle, tmp_path: Path) -> None:
    table = "test_labels.csv"
    right = hashlib.sha256(server.files[f"/course/{table}"]).hexdigest()
    with pytest.raises(RemoteError) as caught:
        fetch_urls(urls(server, {table: "f" * 64}), select(tmp_path))
    assert f"{table}: the download is not the file: its sha256 differs\n  found: {right}\n" in str(
        caught.value
    )
    assert not list((tmp_path / "cache").rglob(table))
    folder, names = fetch_urls(urls(server, {table: right}), select(tmp_path))
    assert table in names
    assert (folder / table).exists()


def test_a_page_instead_of_an_archive_is_refused(server: Kaggle, tmp_path: Path) -> None:
    server.always("storage", Page())
    with pytest.raises(RemoteError, match="Sign in") as caught:
        fetch_urls(urls(server), select(tmp_path))
    assert "secret" not in str(caught.value)


def test_a_missing_address_is_shown_without_its_query(server: Kaggle, tmp_path: Path) -> None:
    files = urls(server)
    del server.files["/course/test_labels.csv"]
    with pytest.raises(RemoteError, match="there is no such file") as caught:
        fetch_urls(files, select(tmp_path))
    assert server.url("/course/test_labels.csv") in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_list_that_lacks_a_file_is_refused(server: Kaggle, tmp_path: Path) -> None:
    files = [each for each in urls(server) if each.name != "test_labels.csv"]
    with pytest.raises(RemoteError) as caught:
        fetch_urls(files, select(tmp_path))
    assert "127.0.0.1: test_labels.csv is needed, and is not there\n  found: readme.txt, " in str(
        caught.value
    )
    assert "to do: correct data.urls: it names the files that are fetched; the nearest name" in str(
        caught.value
    )
    assert server.requests == []


def test_swapped_names_once_corrected_get_their_own_bytes(server: Kaggle, tmp_path: Path) -> None:
    server.files["/course/validation_labels.csv"] += b"9,9,9,9\n"
    right = urls(server)
    other = {TRAINING: VALIDATION, VALIDATION: TRAINING}
    wrong = [each._replace(name=other.get(each.name, each.name)) for each in right]
    folder, _ = fetch_urls(wrong, select(tmp_path))
    assert (folder / TRAINING).read_bytes() == server.files[f"/course/{VALIDATION}"]
    folder, names = fetch_urls(right, select(tmp_path))
    for name in names:
        assert (folder / name).read_bytes() == server.files[f"/course/{name}"]


def refused(files: list[UrlFile], tmp_path: Path) -> list[str]:
    with pytest.raises(RemoteError) as caught:
        fetch_urls(files, select(tmp_path))
    assert caught.value.exit_code == 4
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    return str(caught.value).splitlines()


def test_an_untrusted_certificate_is_refused(
    server: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distrusting(
        adapter: HTTPAdapter, request: requests.PreparedRequest, **_: object
    ) -> requests.Response:
        fault = BrokenTLS("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed")
        raise requests.exceptions.SSLError(MaxRetryError(None, request.url or "", fault))  # type: ignore[arg-type]

    monkeypatch.setattr(HTTPAdapter, "send", distrusting)
    assert refused(urls(server), tmp_path) == [
        f"{server.url('/course/test_data_pytorch.tar.gz')}: can't be fetched",
        "  found: the server's certificate is not trusted",
        "  to do: fix that, and run it again: what is already downloaded is kept",
    ]
    assert server.requests == []


def test_endless_redirects_are_refused(server: Kaggle, tmp_path: Path) -> None:
    server.always("storage", Redirect())
    assert refused(urls(server), tmp_path) == [
        f"{server.url('/course/test_data_pytorch.tar.gz')}: can't be fetched",
        "  found: the server redirects without end",
        "  to do: fix that, and run it again: what is already downloaded is kept",
    ]

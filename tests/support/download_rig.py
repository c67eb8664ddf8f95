"""A file on a server with faults, and a folder to download it into."""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tqdm import tqdm

from darkroom.errors import RemoteError
from darkroom.remote.download import RemoteFile, download
from darkroom.remote.https import opener
from darkroom.remote.retry import RetryPolicy, public_address
from tests.support.loopback import CutAt, Kaggle

BODY = Random(4).randbytes(300_000)
OTHER = Random(5).randbytes(300_000)


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("data.bin"), data)
    return packed.getvalue()


@dataclass
class Rig:
    """A file on the server, and a folder to fetch it into."""

    kaggle: Kaggle
    folder: Path
    name: str = "data.bin"
    slept: list[float] = field(default_factory=list)

    def serve(self, body: bytes, name: str = "data.bin") -> None:
        self.name = name
        self.kaggle.files[f"/d/{name}"] = body

    def fetch(
        self,
        *,
        policy: RetryPolicy | None = None,
        bar: "tqdm[Any] | None" = None,
        name: str | None = None,
        **given: Any,
    ) -> Path:
        url = self.kaggle.url(f"/d/{self.name}") + "?X-Goog-Signature=s3cret"
        remote = RemoteFile(name or self.name, opener(url), public_address(url), **given)
        policy = policy or RetryPolicy(tries=3, sleep=self.slept.append)
        return download(remote, self.folder, policy=policy, bar=bar)

    def refused(self, **given: Any) -> list[str]:
        """Fetch in vain: return the message's lines; nothing has the file's name."""
        with pytest.raises(RemoteError) as caught:
            self.fetch(**given)
        assert "s3cret" not in str(caught.value)
        assert not (self.folder / self.name).exists()
        return str(caught.value).splitlines()

    @property
    def starts(self) -> list[int | None]:
        return [request.range_start for request in self.kaggle.requests_of("storage")]

    @property
    def sent(self) -> int:
        return sum(request.bytes_sent for request in self.kaggle.requests_of("storage"))

    def leave_part(self, size: int) -> None:
        """Fetch so many bytes, then no more: what a kill leaves."""
        (self.folder / self.name).unlink(missing_ok=True)
        self.kaggle.play("storage", CutAt(size))
        self.refused(policy=RetryPolicy(tries=1))
        assert (self.folder / f"{self.name}.part").stat().st_size == size
        self.kaggle.requests.clear()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

"""The code that a project's results come from: a digest a stage, in darkroom.json.

A clone of Darkroom has the source beside dvc.yaml, and its stages depend on the files. A project of
`darkroom new` has the source somewhere in an environment, and its stages depend on these digests.
They are written by `darkroom new` and compared by each stage: so what DVC records comes from the
code that darkroom.json names, and an upgrade reruns the stages whose code it changes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.errors import ArtifactError
from darkroom.project import files
from darkroom.project.fingerprint import PACKAGE, import_closure
from darkroom.project.packages import version_of

CODE = "darkroom.json"


@dataclass(frozen=True)
class RecordedCode:
    """What darkroom.json holds.

    Attributes:
        version: Of Darkroom; "" where there is no such file.
        digests: By stage, of the source files that it imports.
    """

    version: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)


def code_digest(stage: str) -> str:
    """Return the digest of the source files that a stage imports, 16 hexadecimal digits."""
    closure = import_closure(f"darkroom.stages.{stage}")
    digests = {path.relative_to(PACKAGE).as_posix(): files.file_sha256(path) for path in closure}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]


def write_code(folder: Path, stages: Iterable[str]) -> RecordedCode:
    """Record the version and the code of stages in a project's darkroom.json, and return both."""
    code = RecordedCode(version_of("darkroom") or "", {each: code_digest(each) for each in stages})
    text = json.dumps({"version": code.version, "code": code.digests}, indent=2)
    files.write(folder / CODE, f"{text}\n")
    return code


def read_code(folder: Path) -> RecordedCode:
    """Return what a project's darkroom.json holds; nothing where there is none.

    Raises:
        ArtifactError: It is damaged.
    """
    path = folder / CODE
    if not path.is_file():
        return RecordedCode()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return RecordedCode(str(content["version"]), dict(content["code"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            "it is damaged",
            file=path,
            found=error,
            fix="run `git checkout darkroom.json`",
        ) from error


def require_recorded_code(stage: str, folder: Path = Path()) -> None:
    """Refuse a stage whose code is not what a project records; in a clone nothing is recorded.

    Raises:
        ArtifactError: It is not.
    """
    recorded = read_code(folder)
    if recorded.version and recorded.digests.get(stage) != code_digest(stage):
        raise ArtifactError(
            f"the code of {stage} is not what the project was set up with",
            file=folder / CODE,
            found=f"darkroom {version_of('darkroom')}",
            expected=f"the code of darkroom {recorded.version}",
            fix="run `darkroom new .`, which takes over this one's; stages whose code has changed "
            "run again",
        )

"""Forty lines that keep data safe: each is taken out in turn, and the tests must notice.

`make safety` does it, in a copy of the tree, and prints which removals went unnoticed. The tests
that are run are those of the room, and the attack that the line is for.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOUSE = Path("src/darkroom")
FEWEST_NOTICED = 38
LEFT_OUT = (".git", ".venv", ".dvc", ".darkroom", ".mypy_cache", ".ruff_cache", ".pytest_cache",
            "__pycache__", ".hypothesis")  # fmt: skip
LIMIT_S = 400.0
FAILED = 1  # pytest's exit code; others mean that it could not run the tests


@dataclass(frozen=True)
class SafetyLine:
    """A line of the source that keeps data safe.

    Attributes:
        purpose: What it is for.
        file: Below src/darkroom.
        fragment: Text that occurs once in the file.
        replacement: What stands there without it.
        tests: What is run, as arguments of pytest.
    """

    purpose: str
    file: str
    fragment: str
    replacement: str
    tests: tuple[str, ...]

    def fault(self, root: Path = ROOT) -> str:
        """Return why the line can't be taken out, or ""."""
        path = root / HOUSE / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text().count(self.fragment)
        if count != 1:
            return f"{self.file} holds {count} times: {self.fragment!r}"
        if self.replacement == self.fragment:
            return f"nothing changes: {self.fragment!r}"
        absent = [test for test in self.tests if not (root / test.partition("::")[0]).exists()]
        return f"no tests {', '.join(absent)}" if absent else ""

    def without(self, text: str) -> str:
        """Return the text of the file without the line."""
        return text.replace(self.fragment, self.replacement)


FILES = ("tests/project/test_files.py", "tests/whole/test_bad_artefacts.py")
KILLS = ("tests/project/test_files.py", "tests/faults/test_kills.py")
ARCHIVES = (
    "tests/raw/test_archives.py", "tests/raw/test_tars.py", "tests/raw/test_gunzip.py",
    "tests/raw/test_hostile_archives.py",
)  # fmt: skip
STAGES = ("tests/stages", "tests/whole/test_bad_artefacts.py", "tests/whole/test_stale.py")
DOWNLOADS = ("tests/remote",)
UPLOADS = ("tests/submission/upload", "tests/cli/submit")

LINES = (
    SafetyLine(
        "a file is flushed before it gets its name",
        "project/files.py",
        "                os.fsync(stream.fileno())\n            replace(part, path)",
        "                pass\n            replace(part, path)",
        FILES,
    ),
    SafetyLine(
        "a file gets its name by a rename, not by a copy",
        "project/files.py",
        "os.fsync(stream.fileno())\n            replace(part, path)",
        "os.fsync(stream.fileno())\n            shutil.copyfile(part, path)",
        KILLS,
    ),
    SafetyLine(
        "an unfinished file is removed",
        "project/files.py",
        "    finally:\n        part.unlink(missing_ok=True)\n",
        "    finally:\n        pass\n",
        FILES,
    ),
    SafetyLine(
        "a new name is flushed",
        "project/files.py",
        "    source.replace(target)\n    _fsync_folder(target.parent)\n",
        "    source.replace(target)\n",
        FILES,
    ),
    SafetyLine(
        "an old folder is moved aside, not deleted, before the new one has its name",
        "project/files.py",
        "                path.rename(old)\n",
        "                shutil.rmtree(path)\n",
        KILLS,
    ),
    SafetyLine(
        "a folder that a killed run moved aside comes back",
        "project/files.py",
        "    _restore(old, path)  # an earlier run",
        "    # an earlier run",
        KILLS,
    ),
    SafetyLine(
        "a lock is taken",
        "project/files.py",
        "            fcntl.flock(handle, kind)\n        yield\n",
        "            pass\n        yield\n",
        FILES,
    ),
    SafetyLine(
        "a member has the size that its archive declares",
        "raw/archives.py",
        "        if len(data) != size:\n",
        "        if False:\n",
        ARCHIVES,
    ),
    SafetyLine(
        "a member that is too large is not read",
        "raw/archives.py",
        "        if size > limits.MAX_MEMBER_BYTES:\n",
        "        if False:\n",
        ARCHIVES,
    ),
    SafetyLine(
        "a damaged header of a tar is not taken for its end",
        "raw/tars.py",
        '            if rest.strip(b"\\0"):',
        "            if False:",
        ARCHIVES,
    ),
    SafetyLine(
        "a zip has as many members as its end record declares",
        "raw/zips.py",
        "        if (len(infos) if end.is_zip64 else len(infos) % 2**16) != expected:\n",
        "        if False:\n",
        ARCHIVES,
    ),
    SafetyLine(
        "members of a zip do not overlap",
        "raw/zips.py",
        "    _refuse_overlaps(infos, path)\n",
        "    pass\n",
        ARCHIVES,
    ),
    SafetyLine(
        "a gzip may not unpack to any size",
        "raw/gunzip.py",
        'limits.refuse_ratio(unpacked_bytes, packed_bytes, path, "download it again")\n',
        "pass\n",
        ARCHIVES,
    ),
    SafetyLine(
        "a member's path stays in its archive",
        "project/names.py",
        '        "a path with ..": ".." in name.split("/"),\n',
        "",
        ("tests/project/test_names.py", *ARCHIVES),
    ),
    SafetyLine(
        "a link in an archive is not read",
        "project/names.py",
        "        if fault or name in sizes:\n",
        "        if name in sizes:\n",
        ("tests/project/test_names.py", *ARCHIVES),
    ),
    SafetyLine(
        "a member of a bundle is as long as declared",
        "raw/sources/bundle.py",
        "        if size != info.file_size:\n",
        "        if False:\n",
        ("tests/raw/sources",),
    ),
    SafetyLine(
        "files that are not ours are not replaced",
        "raw/sources/folder.py",
        "if not is_junk(name)):\n        raise",
        "if False):\n        raise",
        ("tests/raw/sources", "tests/stages/fetch"),
    ),
    SafetyLine(
        "the index is the one that its card describes",
        "index/table.py",
        "    if hashlib.sha256(data).hexdigest() != sha256:\n",
        "    if False:\n",
        ("tests/index/test_table.py", *STAGES),
    ),
    SafetyLine(
        "images that belong together are on one side of a fold",
        "index/split.py",
        "    leaks = list(_leaks(rows, fold_of))\n    if leaks:\n        raise ArtifactError(",
        "    leaks = list(_leaks(rows, fold_of))\n    if False:\n        raise ArtifactError(",
        ("tests/index/test_split.py", *STAGES),
    ),
    SafetyLine(
        "weights are those that model.json describes",
        "models/saved.py",
        '    if digest != info["weights"]:\n',
        "    if False:\n",
        ("tests/models/test_saved.py", *STAGES),
    ),
    SafetyLine(
        "a checkpoint is whole",
        "training/checkpoint.py",
        "    if digest(body) != written_digest:\n",
        "    if False:\n",
        ("tests/training/test_checkpoint.py",),
    ),
    SafetyLine(
        "a checkpoint is of this training",
        "training/checkpoint.py",
        '    if state.pop("identity") != _as_text(identity):\n',
        '    if state.pop("identity") is None:\n',
        ("tests/training/test_checkpoint.py", "tests/training/test_fit.py"),
    ),
    SafetyLine(
        "a checkpoint runs no code",
        "training/checkpoint.py",
        "weights_only=True",
        "weights_only=False",
        ("tests/training/test_checkpoint.py",),
    ),
    SafetyLine(
        "a shard is the one that preprocess wrote",
        "store/manifest.py",
        "    if digest != expected:\n",
        "    if False:\n",
        ("tests/store", *STAGES),
    ),
    SafetyLine(
        "shards hold the images of the index, in its order",
        "stages/_inputs.py",
        '    if shards.ids != rows["id"].tolist():\n',
        "    if False:\n",
        STAGES,
    ),
    SafetyLine(
        "a mask has the size of its image",
        "raw/masks.py",
        "    if pixels.shape != (height, width):\n",
        "    if False:\n",
        ("tests/raw/test_masks.py", "tests/store/test_preprocess.py"),
    ),
    SafetyLine(
        "a run of a mask ends in the picture",
        "images/rle.py",
        "    if past.size:\n",
        "    if False:\n",
        ("tests/images/test_rle.py", "tests/submission/test_check.py"),
    ),
    SafetyLine(
        "a header may not claim any size",
        "images/codec.py",
        "    if height * width > MAX_PIXELS:\n",
        "    if False:\n",
        ("tests/images/test_codec.py",),
    ),
    SafetyLine(
        "a download has its checksum",
        "remote/verify.py",
        "    if digest.hexdigest() != expected.lower():\n",
        "    if False:\n",
        DOWNLOADS,
    ),
    SafetyLine(
        "a zip that was downloaded is read to its end",
        "remote/verify.py",
        "        if (member := archive.testzip()) is not None:\n",
        "        if (member := None) is not None:\n",
        DOWNLOADS,
    ),
    SafetyLine(
        "old bytes are gone before the identity of new ones is saved",
        "remote/partial.py",
        '        self.path.write_bytes(b"")\n',
        "        pass\n",
        DOWNLOADS,
    ),
    SafetyLine(
        "a download goes on only with the same file",
        "remote/partial.py",
        '{"If-Range": validator} if validator else {}',
        "{}",
        DOWNLOADS,
    ),
    SafetyLine(
        "what is sent is what was checked",
        "submission/upload/send.py",
        "        if sha256 != upload.sha256:\n",
        "        if False:\n",
        UPLOADS,
    ),
    SafetyLine(
        "a submission is on record before it is sent",
        "submission/upload/send.py",
        "    save_pending(upload.folder, PendingUpload(key, clock(), unlisted=unlisted))\n",
        "    pass\n",
        UPLOADS,
    ),
    SafetyLine(
        "two commands do not write the history at once",
        "submission/history/file.py",
        "    with _locked(path.parent):\n        rows = read_history(path)\n        if any(",
        "    if True:\n        rows = read_history(path)\n        if any(",
        ("tests/submission/history", "tests/cli/test_history.py"),
    ),
    SafetyLine(
        "a submission is the one that was predicted",
        "cli/check.py",
        "    if sha256 != expected:\n",
        "    if False:\n",
        ("tests/whole/test_stale.py",),
    ),
    SafetyLine(
        "params.yaml has a limit of levels",
        "params/document.py",
        "        if depth > MAX_DEPTH:\n            raise ConstructorError",
        "        if False:\n            raise ConstructorError",
        ("tests/params",),
    ),
    SafetyLine(
        "a stage ends with the parameters, code and inputs that it began with",
        "cli/stage_run.py",
        "            require_unchanged()\n            return\n",
        "            return\n",
        ("tests/cli/test_stage_run.py",),
    ),
    SafetyLine(
        "a worker ends with its parent",
        "project/processes.py",
        "        parent.join()\n        os._exit(1)",
        "        pass",
        ("tests/project/test_processes.py",),
    ),
    SafetyLine(
        "a killed training goes on from a checkpoint that is whole",
        "training/checkpoint.py",
        '    with files.atomic_write(file) as part, part.open("wb") as stream:',
        '    file.parent.mkdir(parents=True, exist_ok=True)\n    with file.open("wb") as stream:',
        ("tests/training/test_checkpoint.py", "tests/faults/test_kills.py"),
    ),
)


def copy_tree(folder: Path) -> Path:
    """Copy what the tests need, and return the copy."""
    root = folder / "tree"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    return root


def is_noticed(line: SafetyLine, root: Path) -> bool:
    """Run the tests of a line without it, in a copy of the tree; return whether one fails."""
    path = root / HOUSE / line.file
    sound = path.read_text()
    path.write_text(line.without(sound))
    options = ("-q", "-x", "-m", "not long", "-p", "no:cacheprovider")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *line.tests],
            cwd=root,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(root / "src"), str(root)))},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return True  # it hangs without the line
    finally:
        path.write_text(sound)
    if done.returncode not in (0, FAILED):
        raise RuntimeError(f"{line.purpose}: the tests could not run:\n{done.stdout[-2000:]}")
    return done.returncode == FAILED


def main() -> int:
    """Take out each line, print what came of it, and return 0 if enough were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only lines whose purpose or file has one of them")
    words = parser.parse_args().words
    lines = [each for each in LINES if is_chosen(each, words)]
    faults = [fault for line in lines if (fault := line.fault())]
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 2
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = copy_tree(Path(folder))
        for line in lines:
            start = time.monotonic()
            noticed = is_noticed(line, root)
            unnoticed += not noticed
            state = "noticed" if noticed else "NOT NOTICED"
            print(f"{time.monotonic() - start:6.1f} s  {state:<12} {line.file}: {line.purpose}",
                  flush=True)  # fmt: skip
    print(f"{len(lines) - unnoticed} of {len(lines)} removals noticed")
    return int(unnoticed > len(LINES) - FEWEST_NOTICED)


def is_chosen(line: SafetyLine, words: list[str]) -> bool:
    """Return whether a line is chosen by words of the command line."""
    return not words or any(word in f"{line.file} {line.purpose}" for word in words)


if __name__ == "__main__":
    sys.exit(main())

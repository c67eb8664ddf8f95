"""Lines that keep results whole while they are written, downloaded, learned and sent."""

from tests.faults.safety.line import SafetyLine

FILES = ("tests/project/test_files.py", "tests/whole/test_bad_artefacts.py")
KILLS = ("tests/project/test_files.py", "tests/faults/test_kills.py")
DOWNLOADS = ("tests/remote",)
UPLOADS = ("tests/submission/upload", "tests/cli/submit")

WRITING = (
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
        "            part.unlink()\n",
        "            pass\n",
        FILES,
    ),
    SafetyLine(
        "a new name is flushed",
        "project/files.py",
        "    source.replace(target)\n    fsync_folder(target.parent, ignored=_NO_FSYNC)\n",
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
        "            wait_lock(handle, shared=shared)\n        yield\n",
        "            pass\n        yield\n",
        FILES,
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
    SafetyLine(
        "a metric of one's own writes to no prediction",
        "tasks/metrics/own.py",
        "array.data.toreadonly()",
        "array.data",
        ("tests/tasks/metrics",),
    ),
    SafetyLine(
        "a stack is in one fold",
        "prediction/masks/stacks.py",
        "    if parted := sorted(name for name, count in counts.items() if count > 1):\n",
        "    if parted := []:\n",
        ("tests/prediction/masks",),
    ),
)

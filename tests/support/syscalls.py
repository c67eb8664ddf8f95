"""Run a function in a process of its own, and kill it or fail its disk at a chosen system call.

The kernel reports each call that changes files (seccomp's user notification), so that writes of
Rust, Arrow and torch count as those of Python do, in threads and child processes too.
"""

import ctypes
import errno
import fcntl
import functools
import multiprocessing
import multiprocessing.reduction
import os
import platform
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

# Numbers of asm/unistd.h: x86_64 and aarch64, which has no calls without a folder (`rename`).
_X86 = {
    "write": 1, "pwrite": 18, "writev": 20, "sendfile": 40, "fsync": 74, "fdatasync": 75,
    "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "link": 86,
    "unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91, "sync": 162,
    "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "fchmodat": 268, "fallocate": 285, "renameat2": 316, "copy_file_range": 326,
}  # fmt: skip
_ARM = {
    "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "truncate": 45,
    "ftruncate": 46, "fallocate": 47, "fchmod": 52, "fchmodat": 53, "openat": 56, "write": 64,
    "writev": 66, "pwrite": 68, "sendfile": 71, "sync": 81, "fsync": 82,
    "fdatasync": 83, "renameat2": 276, "copy_file_range": 285,
}  # fmt: skip
# By machine: AUDIT_ARCH, the numbers, and that of `seccomp` itself.
_MACHINES = {"x86_64": (0xC000003E, _X86, 317), "aarch64": (0xC00000B7, _ARM, 277)}

# Where a call names its file: the number of the argument, and whether that is an open file.
_OPEN_FILE = {"write": 0, "pwrite": 0, "writev": 0, "sendfile": 0, "fsync": 0, "fdatasync": 0,
              "ftruncate": 0, "fchmod": 0, "fallocate": 0, "copy_file_range": 2}  # fmt: skip
_LAST_NAME = {"rename": 1, "link": 1, "symlink": 1, "renameat": 3, "renameat2": 3, "linkat": 3,
              "symlinkat": 2, "mkdirat": 1, "unlinkat": 1, "fchmodat": 1, "openat": 1}  # fmt: skip

# What a disk that is full refuses: it still deletes.
GROWING = frozenset({"openat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat",
                     "write", "pwrite", "writev", "sendfile", "copy_file_range", "fallocate",
                     "fsync", "fdatasync", "rename", "renameat", "renameat2"})  # fmt: skip

_NO_NEW_PRIVS, _SET_FILTER, _IS_AVAILABLE, _NEW_LISTENER = 38, 1, 2, 8  # of linux/seccomp.h
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _GO_ON = 0xC0502100, 0xC0182101, 1
_NOTIFICATION, _RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_LONG = 16384  # bytes of a path that are read at most

Verdict = Literal["go on", "kill", "tear"] | int
"""What becomes of a call: "tear" writes half of the bytes, then kills; an int is an errno."""


@dataclass(frozen=True)
class Call:
    """A system call that changes files: its name, and the file's path relative to the root."""

    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        code: The exit code, or the negative number of the signal that ended it.
        words: What it wrote to stdout and stderr.
        calls: Its calls on files below the root, in order, up to the end.
        hung: It was ended because its time was over.
    """

    code: int = 0
    words: str = ""
    calls: list[Call] = field(default_factory=list)
    hung: bool = False


def available() -> bool:
    """Return whether this kernel reports system calls, and we know its numbers."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    action = ctypes.c_uint32(_NOTIFY)
    number = _MACHINES[platform.machine()][2]
    return bool(
        _libc().syscall(number, 2, 0, ctypes.byref(action)) == 0
    )  # SECCOMP_GET_ACTION_AVAIL


def go_on(_: Call) -> Verdict:
    """Let every call pass."""
    return "go on"


def run(
    function: Callable[..., int],
    *arguments: Any,
    root: Path,
    verdict: Callable[[Call], Verdict] | None = go_on,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 120.0,
) -> Outcome:
    """Run a function in a new process, in a folder, and judge each of its calls on files there.

    Args:
        function: Importable by name. What it returns is the exit code.
        *arguments: What it is called with.
        root: The current folder of the process; calls on files elsewhere are not judged.
        verdict: Called before each call; None: none is watched, which is faster.
        environment: Further variables.
        limit_s: After so long the process is killed.
    """
    root = root.resolve()
    output = root.with_name(f"{root.name}.output")
    ours, theirs = multiprocessing.Pipe()
    process = _server().Process(
        target=_child,
        args=(theirs, function, arguments, str(root), str(output), dict(environment or {}),
              verdict is not None),
    )  # fmt: skip
    outcome, deadline = Outcome(), time.monotonic() + limit_s
    process.start()
    theirs.close()
    try:
        if verdict is not None:
            listener = multiprocessing.reduction.recv_handle(ours)
            try:
                outcome.hung = not _watch(listener, root, verdict, outcome.calls, deadline)
            finally:
                os.close(listener)
        process.join(max(0.0, deadline - time.monotonic()))
        outcome.hung |= process.is_alive()
    finally:
        if process.is_alive():
            _end(process.pid)
        process.join()
        ours.close()
    outcome.code = process.exitcode if process.exitcode is not None else 0
    outcome.words = output.read_text(errors="replace") if output.exists() else ""
    output.unlink(missing_ok=True)
    process.close()
    return outcome


@functools.cache
def _server() -> Any:
    """Return a context whose processes start with the package imported, and no thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.preloaded"])
    return context


def _child(
    pipe: Connection,
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    root: str,
    output: str,
    environment: Mapping[str, str],
    watched: bool,
) -> None:
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # not that of this process
    os.chdir(root)
    os.environ.update(environment)
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(handle, stream)
    if watched:
        listener = _install_filter()
        # Connection to the process that started this one; the process id matters elsewhere only.
        multiprocessing.reduction.send_handle(pipe, listener, 0)
        os.close(listener)
    try:
        code = function(*arguments)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _install_filter() -> int:
    """Report this process's calls from now on; return the file that they are read from."""
    arch, numbers, seccomp = _MACHINES[platform.machine()]
    program = _program(arch, numbers)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = _libc()
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = int(libc.syscall(seccomp, _SET_FILTER, _NEW_LISTENER, header))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")
    return listener


def _program(arch: int, numbers: Mapping[str, int]) -> bytes:
    """Return the filter: the calls of the table, and of `openat` only what may create a file."""

    def line(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    load, equal, any_bit, give = 0x20, 0x15, 0x45, 0x06
    plain = [number for name, number in sorted(numbers.items()) if name != "openat"]
    lines = [line(load, 4), line(equal, arch, 1, 0), line(give, _ALLOW), line(load, 0)]
    lines += [line(equal, numbers["openat"], 0, 3), line(load, 32)]  # 32: its flags
    lines += [line(any_bit, os.O_CREAT, len(plain) + 2, 0), line(give, _ALLOW)]
    lines += [line(equal, number, len(plain) - place, 0) for place, number in enumerate(plain)]
    return b"".join([*lines, line(give, _ALLOW), line(give, _NOTIFY)])


def _watch(
    listener: int,
    root: Path,
    verdict: Callable[[Call], Verdict],
    calls: list[Call],
    deadline: float,
) -> bool:
    """Judge each call until no process is left that makes any; False: the time is over."""
    names = {number: name for name, number in _MACHINES[platform.machine()][1].items()}
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while time.monotonic() < deadline:
        events = poll.poll(1000)
        if events and not events[0][1] & select.POLLIN:
            return True
        if not events:
            continue
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # the process has ended meanwhile
                continue
            raise
        cookie, process, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        path = _path(names[number], process, arguments)
        answer: Verdict = "go on"
        if path is not None and path.is_relative_to(root):
            call = Call(names[number], path.relative_to(root).as_posix())
            answer = verdict(call)
            calls.append(call)
        if answer in ("kill", "tear"):
            if answer == "tear":
                _write_half(process, arguments)
            _end(process)
            continue
        failure = answer if isinstance(answer, int) else 0
        reply = _RESPONSE.pack(cookie, 0, -failure, 0 if failure else _GO_ON)
        try:
            fcntl.ioctl(listener, _SEND, bytearray(reply))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    return False


def _path(name: str, process: int, arguments: list[int]) -> Path | None:
    """Return the absolute path of the file that a call changes; None, if that is not a file."""
    try:
        if name == "sync":  # of all files
            return Path(f"/proc/{process}/cwd").readlink()
        if name in _OPEN_FILE:
            handle = arguments[_OPEN_FILE[name]] & 0xFFFFFFFF
            link = str(Path(f"/proc/{process}/fd/{handle}").readlink())
            return Path(link.removesuffix(" (deleted)")) if link.startswith("/") else None
        place = _LAST_NAME.get(name, 0)
        with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
            memory.seek(arguments[place])
            text = os.fsdecode(memory.read(_LONG).split(b"\0")[0])
        folder = f"/proc/{process}/cwd"
        if name.endswith(("at", "at2")) and not text.startswith("/"):
            handle = ctypes.c_int(arguments[place - 1] & 0xFFFFFFFF).value
            folder = folder if handle < 0 else f"/proc/{process}/fd/{handle}"
        return Path(os.path.normpath(Path(folder).readlink() / text))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _write_half(process: int, arguments: list[int]) -> None:
    """Do the first half of a `write` in place of the process, which waits for it."""
    handle, address, count = arguments[:3]
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        data = memory.read(count // 2)
    position = int(Path(f"/proc/{process}/fdinfo/{handle}").read_text().split()[1])
    with Path(f"/proc/{process}/fd/{handle}").open("r+b", buffering=0) as file:
        file.seek(position)
        file.write(data)


def _end(process: int | None) -> None:
    """Kill a process, and what it started in its group."""
    if process is None:
        return
    try:
        os.killpg(os.getpgid(process), signal.SIGKILL)
    except ProcessLookupError:
        return

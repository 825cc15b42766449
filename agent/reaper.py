"""Between the agent and each child stands a small process of ours that outlives neither and leaves nothing behind.

It adopts whatever the child's processes leave (Linux: subreaper) and kills it when the child is gone, when it is told
to, or when the agent's end of its pipe closes, which a ``kill -9`` of the agent does too. The child itself dies with
this process (PR_SET_PDEATHSIG). It is forked, not executed: the agent may be all the Python there is.

It also holds the child's stdin open, so that the agent's death is no end of input: a child that was told to wait for a
word before it acts might take that for a yes, and act before it is killed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
from typing import NamedTuple, NoReturn

from agent import orphans
from agent.launch import Program


class Spawned(NamedTuple):
    """A reaper's pid and the agent's ends of the pipes, all non-blocking.

    ``status`` says ``pid N`` or ``failed STAGE ERRNO``, then ``exit CODE`` once all is dead, one line each;
    ``commands`` takes END_INPUT (when ``stdin`` is closed here, it ends), TERMINATE (the child), KILL (everything).
    """

    reaper: int
    stdin: int
    stdout: int
    stderr: int
    status: int
    commands: int


END_INPUT = b"e"
TERMINATE = b"t"
KILL = b"k"


def spawn(program: Program) -> Spawned:
    """Start ``program`` behind a reaper. Raises OSError where there are no fds or processes left."""
    pipes: list[tuple[int, int]] = []
    every = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        for _ in range(5):
            pipes.append(os.pipe())
        stdin, stdout, stderr, status, commands = pipes
        parent = os.getpid()
        reaper = os.fork()
        if not reaper:
            _Reaper(program, (stdin[0], stdout[1], stderr[1]), stdin[1], status[1], commands[0]).run(parent)
    except OSError:
        for ends in pipes:
            os.close(ends[0])
            os.close(ends[1])
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, every)
    for fd in (stdin[0], stdout[1], stderr[1], status[1], commands[0]):
        os.close(fd)
    mine = Spawned(reaper, stdin[1], stdout[0], stderr[0], status[0], commands[1])
    for fd in mine[1:]:
        os.set_blocking(fd, False)
    return mine


class _Reaper:
    """The process between; it never returns to the agent's code."""

    def __init__(self, program: Program, stdio: tuple[int, int, int], input: int, status: int, commands: int) -> None:
        self._program = program
        self._stdio = stdio
        self._input = input
        self._status = status
        self._commands = commands
        self._child = 0
        self._code: int | None = None

    def run(self, parent: int) -> NoReturn:
        try:
            gc.disable()  # A collection would touch, and so copy, all that the agent holds.
            wakeup = self._settle_in()
            if os.getppid() == parent:
                self._report(self._start())
                self._attend(wakeup)
                self._kill_all()
                self._report(f"exit {self._code}")
        finally:
            # Without "exit" the agent knows that it must see to what is left.
            os._exit(0)

    def _settle_in(self) -> int:
        """Away from the agent's session, fds and signals; the fd that signals are seen on."""
        os.setsid()
        orphans.become_subreaper()
        _close_all_but({*self._stdio, self._input, self._status, self._commands})
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        wakeup, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return wakeup

    def _start(self) -> str:
        said, fault = os.pipe()
        me = os.getpid()
        self._child = os.fork()
        if not self._child:
            _execute(self._program, self._stdio, fault, me)
        for fd in (fault, *self._stdio):
            os.close(fd)
        with open(said, "rb") as file:
            failed = file.read().decode()
        return f"failed {failed}" if failed else f"pid {self._child}"

    def _attend(self, wakeup: int) -> None:
        """Until the child is gone, or everything must be."""
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        poll.register(self._commands, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if wakeup in ready and signal.SIGTERM in os.read(wakeup, 512):
                return
            self._reap(os.WNOHANG)
            if self._code is not None:
                return
            if self._commands in ready:
                commands = os.read(self._commands, 512)
                if KILL in commands or not commands:
                    return
                if END_INPUT in commands and self._input >= 0:
                    os.close(self._input)
                    self._input = -1
                if TERMINATE in commands:
                    os.kill(self._child, signal.SIGTERM)

    def _reap(self, options: int) -> bool:
        """Wait for what has died, with WNOHANG all of it; False when there is no child left at all."""
        try:
            while (found := os.waitpid(-1, options))[0]:
                if found[0] == self._child:
                    self._code = os.waitstatus_to_exitcode(found[1])
                if not options & os.WNOHANG:
                    break
        except ChildProcessError:
            return False
        return True

    def _kill_all(self) -> None:
        """Killed children leave theirs to us, so this ends when nobody is left."""
        if self._code is None:
            orphans.kill(self._child)
        orphans.kill_group(self._child)
        while self._reap(os.WNOHANG):
            left = orphans.offspring()
            if [pid for pid in left if orphans.kill(pid)]:
                self._reap(0)
            elif left and self._code is not None:
                return  # What is left has another owner (setuid) and cannot be killed.
            else:
                time.sleep(0.001)

    def _report(self, line: str) -> None:
        try:
            os.write(self._status, f"{line}\n".encode())
        except OSError:
            pass  # The agent is gone.


def _execute(program: Program, stdio: tuple[int, int, int], fault: int, parent: int) -> NoReturn:
    stage = "start"
    try:
        os.setsid()
        orphans.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        stage = "chdir"
        if program.cwd:
            os.chdir(program.cwd)
        stage = "exec"
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        os.execve(program.path, program.argv, program.env)
    except OSError as error:
        os.write(fault, f"{stage} {error.errno}".encode())
    finally:
        os._exit(127)


def _close_all_but(keep: set[int]) -> None:
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(directory):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # The listing's own fd.

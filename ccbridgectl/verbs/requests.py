"""Verbs about one request: send, wait, result, cancel, queue, interrupt."""

from __future__ import annotations

import os
import time

from ccbridgectl.client import Client, new_id
from ccbridgectl.document import Json, table, tables, text
from ccbridgectl.grammar import Given
from ccbridgectl.screen import Screen, Ticker
from ccbridgectl.stream import Event, Stream
from ccbridgectl.transcript import Transcript, about
from ccbridged.protocol.errors import BridgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ccbridgectl.markdown import Rendered
    from ccbridgectl.progress import Progress

    Paper = Screen | Rendered


def send(given: Given, client: Client, screen: Screen) -> int:
    id_ = given.text("id") if given.has("id") else new_id()
    follow = not given.has("no-wait")
    stream = client.stream(
        given.word(),
        read_prompt(given),
        id=id_,
        timeout=given.seconds("timeout") or None,
        retry_uncertain=given.has("retry-uncertain"),
        follow=follow,
    )
    if follow:
        return _follow(stream, id_, given.word(), screen)
    return _queued(stream, id_, screen)


def wait(given: Given, client: Client, screen: Screen) -> int:
    stream = client.watch(given.word())
    return _follow(stream, given.word(), "", screen, only_result=screen.json)


def result(given: Given, client: Client, screen: Screen) -> int:
    answer = client.answer({"verb": "result", "id": given.word()})
    body = table(answer.result)
    if screen.json:
        screen.lines([answer.raw])
    else:
        transcript = Transcript()
        screen.put(transcript.read(_as_event(body)) + transcript.finish())
        _complain(body, screen)
    return answer.status


def cancel(given: Given, client: Client, screen: Screen) -> int:
    answer = client.answer({"verb": "cancel", "id": given.word()})
    if screen.json:
        screen.lines([answer.raw])
    else:
        told = table(answer.result)
        screen.put(f"{text(told.get('id')) or given.word()}: {text(told.get('state')) or 'cancelled'}\n")
    return answer.status


def interrupt(given: Given, client: Client, screen: Screen) -> int:
    """Says what stopped and what is still queued, because an interrupt leaves the queue alone."""
    answer = client.answer({"verb": "interrupt", "name": given.word()})
    if screen.json:
        screen.lines([answer.raw])
        return answer.status
    told = table(answer.result)
    queued = told.get("queued")
    waiting = [text(id_) for id_ in queued] if isinstance(queued, list) else []
    screen.put(f"stopped: {text(told.get('stopped')) or 'nothing was running'}\n")
    screen.put(f"still queued: {' '.join(waiting)}\n" if waiting else "")
    return answer.status


def queue(given: Given, client: Client, screen: Screen) -> int:
    call: Json = {"verb": "queue", "name": given.word()}
    if given.has("move"):
        id_, place = given.many("move")[-2:]
        if not (place.isascii() and place.isdigit() and len(place) < 19):
            raise BridgeError("usage", f"--move: {place!r} is not a place from 0 up", "see: ccbridgectl queue --help")
        call |= {"move": id_, "to": int(place)}
    if given.has("drop"):
        call |= {"drop": given.text("drop")}
    answer = client.answer(call)
    if screen.json:
        screen.lines([answer.raw])
    else:
        from ccbridgectl.layout import queue_lines

        screen.lines(queue_lines(tables(answer.result), time.time()))
    return answer.status


def read_prompt(given: Given) -> str:
    """The one prompt: an argument, ``-``, a file, or stdin when that is no terminal. Raises BridgeError ``usage``."""
    word, file = given.word(1), given.text("file")
    if len(given.words) > 1 and file:
        raise BridgeError("usage", "a prompt and --file exclude each other", "give one of them")
    if file:
        raw, where = _read_file(file), file
    elif word == "-" or (len(given.words) < 2 and not _is_terminal(0)):
        raw, where = _read_all(0, "stdin"), "stdin"
    elif len(given.words) < 2:
        raise BridgeError(
            "usage", "there is no prompt", f'give it in quotes: ccbridgectl send {given.word()} "…", or on stdin'
        )
    else:
        raw, where = os.fsencode(word), "the prompt"
    try:
        prompt = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = f"{where} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        raise BridgeError("usage", fault, "convert it, for example with: iconv -t UTF-8") from None
    if not prompt.strip():
        raise BridgeError(
            "usage", f"{where} is empty" if where != "the prompt" else "the prompt is empty", "say something"
        )
    return prompt


def _read_file(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BridgeError(
            "usage", f"cannot read {path}: {error.strerror}", "name a file that exists and is yours to read"
        ) from None
    try:
        return _read_all(fd, path)
    finally:
        os.close(fd)


def _read_all(fd: int, where: str) -> bytes:
    chunks = []
    try:
        while chunk := os.read(fd, 1 << 20):
            chunks.append(chunk)
    except OSError as error:
        raise BridgeError("usage", f"cannot read {where}: {error.strerror}", "give the prompt in another way") from None
    return b"".join(chunks)


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return True


def _queued(stream: Stream, id_: str, screen: Screen) -> int:
    """Print what names the request from now on."""
    first = next((event.raw for event in stream if event.type == "request"), "")
    for _ in stream:
        pass
    screen.lines([first or stream.result_raw] if screen.json else [id_])
    return stream.status


def _follow(stream: Stream, id_: str, instance: str, screen: Screen, *, only_result: bool = False) -> int:
    try:
        if screen.json:
            _pass_on(stream, screen, only_result=only_result)
        else:
            _tell(stream, instance, screen)
    except KeyboardInterrupt:
        advice = f"see it with: ccbridgectl wait {id_}, stop it with: ccbridgectl cancel {id_}"
        screen.note(f"ccbridgectl: request {id_} goes on; {advice}")
        return 130
    return stream.status


def _pass_on(stream: Stream, screen: Screen, *, only_result: bool) -> None:
    ended = False
    for event in stream:
        ended = ended or event.type == "result"
        if event.type == "result" or not only_result:
            screen.put(event.raw + "\n")
    if not ended and stream.result_raw:
        screen.put(stream.result_raw + "\n")


def _tell(stream: Stream, instance: str, screen: Screen) -> None:
    transcript, progress = Transcript(), _progress(instance, screen)
    paper = _paper(screen)
    body: Json = {}
    with Ticker(screen, progress, lambda: transcript.at_line_start or paper is not screen):
        for event in stream:
            if progress:
                progress.read(event, time.time())
            paper.put(transcript.read(event))
            if event.type == "approval":
                paper.put(transcript.finish())
                paper.block_ends()
                screen.note(_question(event))
            elif event.type == "result":
                body = event.body
            elif transcript.whole:
                paper.block_ends()
    if not body:
        body = table(stream.result)
        paper.put(transcript.read(_as_event(body)))
    paper.put(transcript.finish())
    paper.block_ends()
    _complain(body, screen)


def _progress(instance: str, screen: Screen) -> Progress | None:
    """For the quiet line, where there is one."""
    if not screen.quiet_line:
        return None
    from ccbridgectl.progress import Progress

    return Progress(instance, time.time())


def _paper(screen: Screen) -> Paper:
    """A pipe is spared the module."""
    if not screen.out_is_terminal:
        return screen
    from ccbridgectl.markdown import paper

    return paper(screen)


def _as_event(body: Json) -> Event:
    return Event(body | {"type": "result"})


def _question(event: Event) -> str:
    id_ = text(event.body.get("id"))
    asked = f"{text(event.body.get('tool'))}: {about(event.body.get('input'))}"
    advice = f"allow it with: ccbridgectl approve {id_}, refuse it with: ccbridgectl deny {id_}"
    return f"{event.instance} asks to use {asked}\n  {advice}"


def _complain(body: Json, screen: Screen) -> None:
    state = text(body.get("state"))
    if state and state != "succeeded":
        reason = text(body.get("error")) or text(body.get("text"))
        screen.note(f"ccbridgectl: {state.replace('_', ' ')}" + (f": {reason}" if reason else ""))

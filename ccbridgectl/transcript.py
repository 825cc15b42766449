"""Claude's messages to the text that a person reads: deltas as they come, and of a complete message only what is new.

Pure. One request's events in, pieces of text out; what a sub-agent says and thinks is not the answer.
"""

from __future__ import annotations

from ccbridgectl.document import Json, table, tables, text
from ccbridgectl.text import one_line, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ccbridgectl.stream import Event


class Transcript:
    """``read`` gives the text to print next, harmless already; ``finish`` the newline that is still owed."""

    def __init__(self) -> None:
        self.said = False
        self.at_line_start = True
        self._message = ""
        self._open = False
        self._partial: dict[str, list[list[str]]] = {}

    @property
    def whole(self) -> bool:
        """Whether no block is half said."""
        return not any(self._partial.values())

    def read(self, event: Event) -> str:
        match event.type:
            case "output":
                return self._frame(table(event.body.get("message")))
            case "state" if event.body.get("state") in ("queued", "delivered"):
                self.said = False
                return ""
            case "result":
                return self._result(event.body)
            case _:
                return ""

    def finish(self) -> str:
        return self._put("" if self.at_line_start else "\n")

    def _frame(self, frame: Json) -> str:
        if frame.get("parent_tool_use_id"):
            return ""
        match frame.get("type"):
            case "stream_event":
                return self._delta(table(frame.get("event")))
            case "assistant" if not frame.get("is_api_error_message"):
                message = table(frame.get("message"))
                said = [
                    text(block.get("text")) for block in tables(message.get("content")) if block.get("type") == "text"
                ]
                return "".join([self._block(text(message.get("id")), block) for block in said])
            case _:
                return ""

    def _delta(self, event: Json) -> str:
        match event:
            case {"type": "message_start", "message": {"id": str(id_)}}:
                self._message = id_
                self._open = False
            case {"type": "content_block_start"}:
                self._open = False
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(piece)}} if piece:
                return self._grow(piece)
            case _:
                pass
        return ""

    def _grow(self, piece: str) -> str:
        blocks = self._partial.setdefault(self._message, [])
        opening = ""
        if not self._open:
            self._open = True
            blocks.append([])
            opening = self.finish()
        blocks[-1].append(piece)
        return opening + self._say(piece)

    def _block(self, id_: str, whole: str) -> str:
        """A complete block: the first of its message's that is not complete. When a stream broke, the message comes
        complete under another id: then it is the one that was broken off."""
        for candidate in (id_, self._message):
            blocks = self._partial.get(candidate, [])
            printed = "".join(blocks[0]) if blocks else ""
            if printed and whole.startswith(printed):
                blocks.pop(0)
                return self._say(whole[len(printed) :])
        return (self.finish() if whole else "") + self._say(whole)

    def _result(self, body: Json) -> str:
        whole, error = text(body.get("text")), text(body.get("error"))
        if self.said or whole == error:
            return ""
        return self.finish() + self._say(whole)

    def _say(self, piece: str) -> str:
        self.said = self.said or bool(piece)
        return self._put(shown(piece))

    def _put(self, piece: str) -> str:
        if piece:
            self.at_line_start = piece.endswith("\n")
        return piece


def about(given: object) -> str:
    """What a tool is asked to do, in one line: its command, file or address, else its whole input."""
    fields = table(given)
    for key in ("command", "file_path", "notebook_path", "path", "url", "pattern", "query", "description"):
        if text(fields.get(key)):
            return one_line(text(fields[key]), 200)
    from ccbridgectl.document import dumps

    return one_line(dumps(fields), 200) if fields else ""

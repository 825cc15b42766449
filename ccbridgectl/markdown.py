"""Answers as rendered Markdown, on a terminal and if ``rich`` is installed: whole blocks, because half a table is none.

Rendering decodes ``&#x202e;`` and its like, so what it made is what is shown harmless, not only what went in.
"""

from __future__ import annotations

from ccbridgectl.text import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ccbridgectl.screen import Screen


class Rendered:
    """Text is kept until its block ends. Raises ImportError without ``rich``."""

    def __init__(self, screen: Screen) -> None:
        from rich.console import Console

        self._screen = screen
        self._text = ""
        self._console = Console(file=screen.out, force_terminal=True, highlight=False)

    def put(self, text: str) -> None:
        self._text += text

    def block_ends(self) -> None:
        from rich.markdown import Markdown
        from rich.segment import Segment, Segments

        text, self._text = self._text.strip("\n"), ""
        if not text:
            return
        rendered = self._console.render(Markdown(text, hyperlinks=False))
        harmless = [Segment(shown(piece.text), piece.style) for piece in rendered if not piece.control]
        with self._console.capture() as captured:
            self._console.print(Segments(harmless), end="")
        self._screen.put(captured.get())


def paper(screen: Screen) -> Screen | Rendered:
    """What fits the screen."""
    if screen.out_is_terminal and screen.colored:
        try:
            return Rendered(screen)
        except ImportError:
            pass
    return screen

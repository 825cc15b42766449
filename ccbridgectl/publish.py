"""Write what packages carry and the table of verbs says: ``python3 -m ccbridgectl.publish packaging``."""

from __future__ import annotations

import os
import sys

from ccbridgectl.completion import script
from ccbridgectl.manual import man_page


def papers() -> dict[str, str]:
    """Relative path to text."""
    return {
        "completions/ccbridgectl.bash": script("bash"),
        "completions/_ccbridgectl": script("zsh"),
        "completions/ccbridgectl.fish": script("fish"),
        "man/ccbridgectl.1": man_page(),
    }


def main(directory: str) -> None:
    for path, text in papers().items():
        target = os.path.join(directory, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(sys.argv[1])

"""Samples in, one table out. Both sides of a ratio are taken in turns in one run, so that a busy machine hits both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """``ours``, ``theirs``: seconds each. ``inverse``: the ratio says how many times faster ours is. ``target``: of
    the ratio of the medians."""

    what: str
    against: str
    ours: Sequence[float]
    theirs: Sequence[float]
    target: str
    inverse: bool = False

    def ratio(self, share: float) -> float:
        ours, theirs = quantile(self.ours, share), quantile(self.theirs, share)
        return theirs / ours if self.inverse else ours / theirs


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample that ``share`` of all are not above."""
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def table(rows: Sequence[Row]) -> str:
    """Aligned columns, one line per row."""
    lines: list[tuple[str, ...]] = [("what", "against", "p50", "p99", "ratio p50", "ratio p99", "aim")]
    for row in rows:
        times = [f"{_time(quantile(row.ours, q))} / {_time(quantile(row.theirs, q))}" for q in (0.5, 0.99)]
        sign = "faster" if row.inverse else ""
        ratios = [f"{row.ratio(q):.4g} x {sign}".rstrip() for q in (0.5, 0.99)]
        lines.append((row.what, row.against, *times, *ratios, row.target))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} us"

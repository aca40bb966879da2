"""Charts as inline SVG: bars over time, bars of names, histograms, stems. Colours are the page's, by class.

Every text goes through `text`: a capture is full of names that somebody else chose.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence

#: Characters of a name that are shown.
LONGEST = 80


def text(value: object, longest: int = LONGEST) -> str:
    """What may stand in a page: escaped, with characters that show nothing, or turn the line round, as their numbers."""
    shown = "".join(
        one if unicodedata.category(one)[0] != "C" else f"⟨{ord(one):X}⟩" for one in str(value)[:longest + 1])
    return html.escape(shown[:longest] + "…" if len(shown) > longest else shown)


def number(value: float) -> str:
    """With a unit's prefix where it is large: 1.2 k, 34 M."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            scaled = f"{value / factor:.0f}" if abs(value) >= 99.95 * factor else f"{value / factor:.1f}".removesuffix(".0")
            return f"{scaled} {prefix}"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.1f}"


def octets(value: float) -> str:
    shown = number(value)
    return f"{shown}B" if shown[-1].isalpha() else f"{shown} B"


def seconds(value: float) -> str:
    """A time span, with the unit that fits."""
    if value <= 0:
        return "0 s"
    for factor, unit in ((365.25 * 86400, "years"), (86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if value >= factor * 0.9995:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def steps(most: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to `most` or somewhat more, about `count` of them."""
    if not most > 0:
        return [0.0, 1.0]
    raw = most / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * one for one in (1, 2, 2.5, 5, 10) if size * one >= raw * 0.999)
    return [step * place for place in range(math.ceil(most / step - 1e-9) + 1)]


def svg(width: float, height: float, label: str, body: Sequence[str]) -> str:
    return (f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text(label)}">' + "".join(body) + "</svg>")


def columns(
        series: Sequence[tuple[str, Sequence[float]]], marks: Sequence[tuple[float, str]], titles: Sequence[str], label: str,
        *, unit: str = "", height: float = 190, width: float = 960) -> str:
    """Stacked columns side by side: `series` are (class, value for each column), `marks` are (place in columns, text) of the axis
    below, `titles` say for each column what one sees when pointing at it."""
    left, right, top, bottom = 56.0, 8.0, 10.0, 24.0
    count = max((len(values) for _, values in series), default=0)
    totals = [sum(values[place] for _, values in series) for place in range(count)]
    grid = steps(max(totals, default=0))
    inner, tall = width - left - right, height - top - bottom
    each = inner / max(count, 1)
    gap = min(2.0, each * 0.25)

    def y(value: float) -> float:
        return top + tall * (1 - value / grid[-1])
    body = []
    for value in grid:
        shown = octets(value) if unit == "B" else number(value)
        body.append(f'<line class="grid" x1="{left:g}" x2="{width - right:g}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        body.append(f'<text class="tick end" x="{left - 8:g}" y="{y(value) + 4:.1f}">{shown}</text>')
    for place in range(count):
        if totals[place] <= 0:
            continue
        below = 0.0
        parts = []
        for kind, values in series:
            if values[place] > 0:
                high, low = y(below + values[place]), y(below)
                # What is there is seen, however small.
                tallness = max(low - high, 1.0)
                parts.append(f'<rect class="{kind}" x="{left + place * each + gap / 2:.2f}" y="{low - tallness:.2f}" '
                             f'width="{each - gap:.2f}" height="{tallness:.2f}"/>')
                below += values[place]
        body.append(f"<g>{''.join(parts)}<title>{text(titles[place], 400)}</title></g>")
    free = 0.0
    for at, word in marks:
        x = left + at * each
        wide = 6.6 * len(word)
        body.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{height - bottom:g}" y2="{height - bottom + 4:g}"/>')
        # Within the picture, and left out where the one before it stands.
        begin, anchor = (width - wide, " end") if x + wide / 2 > width else (x - wide / 2, " middle")
        if begin >= free:
            free = begin + wide + 8
            body.append(f'<text class="tick{anchor}" x="{min(x, width):.1f}" y="{height - 7:g}">{text(word)}</text>')
    return svg(width, height, label, body)


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, float]], str]], label: str) -> str:
    """Names with a bar each, as a table that is read without its bars, too: (name, parts by class, what stands at the end)."""
    most = max((sum(value for _, value in parts) for _, parts, _ in rows), default=0) or 1
    lines = []
    for name, parts, said in rows:
        x, drawn = 0.0, []
        for kind, value in parts:
            wide = 100 * value / most
            drawn.append(f'<rect class="{kind}" x="{x:.2f}" y="0" width="{wide:.2f}" height="10"/>')
            x += wide
        lines.append(
            f'<tr><th scope="row" title="{text(name, 300)}">{text(name)}</th><td class="bar"><svg viewBox="0 0 100 10" '
            f'preserveAspectRatio="none" aria-hidden="true">{"".join(drawn)}</svg></td><td class="said">{text(said)}</td></tr>')
    return f'<table class="bars" aria-label="{text(label)}"><tbody>{"".join(lines)}</tbody></table>'


def stems(lengths: Sequence[int], directions: Sequence[int], titles: Sequence[str], most: int, label: str) -> str:
    """Packets in order: up from the flow's source, down to it, as long as their lengths; `most` is the scale's end."""
    width, height, middle = 300.0, 110.0, 55.0
    each = (width - 16) / max(len(lengths), 12)
    body = [f'<line class="axis" x1="4" x2="{width - 4:g}" y1="{middle:g}" y2="{middle:g}"/>']
    for place, (length, direction, title) in enumerate(zip(lengths, directions, titles, strict=True)):
        x = 8 + (place + 0.5) * each
        tip = middle - (1 if direction > 0 else -1) * (46.0 * min(length, most) / max(most, 1))
        kind = "sent" if direction > 0 else "received"
        body.append(
            f'<g class="{kind}"><line x1="{x:.1f}" x2="{x:.1f}" y1="{middle:g}" y2="{tip:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{tip:.1f}" r="2.6"/><title>{text(title)}</title></g>')
    return svg(width, height, label, body)

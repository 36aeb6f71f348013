"""Layout of a network diagram: a row for each level, and lanes for arrows that skip levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ranvier.pictures.diagram import Box

SWEEPS = 40
LANE = 0.3  # the width of a lane, in which an arrow passes a row
FIRM = 100.0  # the weight of a box in the position of its row; a lane has the weight LANE


@dataclass(eq=False)
class Spot:
    """A box or a lane (``box`` is None) in one row; ``x`` is its centre."""

    level: int
    width: float
    box: Box | None = None
    above: list[Spot] = field(default_factory=list)
    below: list[Spot] = field(default_factory=list)
    x: float = 0.0

    @property
    def weight(self) -> float:
        return LANE if self.box is None else FIRM


def place(boxes: Sequence[Box], width: float, gap: float) -> tuple[list[list[Spot]], float]:
    """Return the rows of spots from the inputs down, linked by arrows, and the total width.

    Each arrow joins two adjacent rows. An arrow that skips rows passes a lane in each of them; all arrows from one box
    share their lanes. Rows are ordered and shifted so that arrows are short and cross little (Sugiyama et al., 1981).
    """
    rows: list[list[Spot]] = [[] for _ in range(1 + max(box.level for box in boxes))]
    spots = []
    for box in boxes:
        spots.append(Spot(box.level, width, box))
        rows[box.level].append(spots[-1])
    lanes: dict[tuple[int, int], Spot] = {}
    for spot, box in zip(spots, boxes, strict=True):
        for source in box.sources:
            above = spots[source]
            for level in range(above.level + 1, spot.level):
                lane = lanes.get((source, level))
                if lane is None:
                    lane = lanes[source, level] = Spot(level, LANE)
                    rows[level].append(lane)
                    link(above, lane)
                above = lane
            link(above, spot)
    for row in rows:
        spread(row, gap)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = {spot: middle(spot.above if sweep % 2 == 0 else spot.below, spot.x) for spot in row}
            if sweep < SWEEPS // 2:
                row.sort(key=wanted.__getitem__)
            for spot in row:
                spot.x = wanted[spot] if sweep < SWEEPS // 2 else middle(spot.above + spot.below, spot.x)
            spread(row, gap)
    left = min(spot.x - spot.width / 2 for row in rows for spot in row)
    for row in rows:
        for spot in row:
            spot.x -= left
    return rows, max(spot.x + spot.width / 2 for row in rows for spot in row)


def link(above: Spot, below: Spot) -> None:
    above.below.append(below)
    below.above.append(above)


def middle(near: Sequence[Spot], otherwise: float) -> float:
    """The position with the shortest arrows to these spots."""
    total = sum(spot.weight for spot in near)
    return sum(spot.x * spot.weight for spot in near) / total if near else otherwise


def spread(row: Sequence[Spot], gap: float) -> None:
    """Move the spots of a row apart without changing their order, then the row back to its weighted position."""
    wanted = [spot.x for spot in row]
    for before, spot in pairwise(row):
        spot.x = max(spot.x, before.x + (before.width + spot.width) / 2 + gap)
    total = sum(spot.weight for spot in row)
    shift = sum((at - spot.x) * spot.weight for at, spot in zip(wanted, row, strict=True)) / total
    for spot in row:
        spot.x += shift

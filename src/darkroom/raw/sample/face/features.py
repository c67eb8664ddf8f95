"""Eyes, brows, nose, mouth, beard and spectacles of a portrait."""

from darkroom.raw.sample.brush import arc, ellipse, mix, spline
from darkroom.raw.sample.face.sitter import Sitter

DARK = (40, 22, 18)


def paint_eyes(sitter: Sitter) -> None:
    """Paint both eyes with lids, lashes and bags."""
    tall = 2.6 if sitter.has("Narrow_Eyes") else 5.4
    for side in (-1, 1):
        x = side * 19.0
        if sitter.has("Heavy_Makeup"):
            violet = mix(sitter.skin, (92, 50, 104), 0.75)
            sitter.glaze(ellipse((x + side, -4.5), (12, 6)), violet, 0.7, 1.5, 0.6)
        if sitter.has("Bags_Under_Eyes"):
            _bag(sitter, x)
        white = spline([(x - 10, 1), (x - 4, -tall), (x + 4, -tall), (x + 10, 1), (x, tall * 0.75)])
        sitter.fill(white, (244, 242, 240), 0.6)
        radius = min(4.9, tall + 0.6)
        sitter.fill(ellipse((x, -0.4), (4.9, radius), count=16), sitter.iris, 0.7)
        sitter.fill(ellipse((x, -0.4), (2.3, min(2.3, radius)), count=12), (14, 12, 12), 0.7)
        sitter.fill(ellipse((x - 1.6, -2), (1.1, 1.1), count=8), (255, 255, 255), 0.7)
        lid = arc([(x - 10.5, 1.2), (x - 4, -tall - 0.3), (x + 4, -tall - 0.3), (x + 10.5, 1.2)])
        lashes = 2.2 if sitter.has("Heavy_Makeup") else (1.0 if sitter.has("Male") else 1.4)
        sitter.stroke(lid, (30, 20, 20), lashes, 0.6)
        if sitter.has("Heavy_Makeup"):
            sitter.stroke([(x + side * 10, 0.5), (x + side * 14, -3.5)], (30, 20, 20), 1.5, 0.6)
        _brow(sitter, side)


def _bag(sitter: Sitter, x: float) -> None:
    under = mix(sitter.skin, (74, 44, 66), 0.65)
    sitter.glaze(ellipse((x, 9.5), (10, 3.6)), under, 0.6, 1.2, 0.6)
    sitter.stroke(arc([(x - 9, 9), (x, 13.5), (x + 9, 9)]), mix(sitter.skin, DARK, 0.4), 0.9, 0.6)


def _brow(sitter: Sitter, side: int) -> None:
    peak = -20.5 if sitter.has("Arched_Eyebrows") else -14.5
    thick = 5.2 if sitter.has("Bushy_Eyebrows") else (2.6 if sitter.has("Male") else 1.9)
    colour = mix(sitter.hair, DARK, 0.45)
    inner, outer = side * 8.0, side * 31.0
    line = [(inner, -12.5), (side * 22.0, peak), (outer, -11.5)]
    upper = arc(line)
    lower = arc([(inner, -12.5 + thick), (side * 22.0, peak + thick), (outer, -11)])
    sitter.fill([*upper.tolist(), *lower[::-1].tolist()], colour, 0.6)
    if sitter.has("Bushy_Eyebrows"):
        for step in range(1, 9):
            x = inner + (outer - inner) * step / 9.5
            sitter.stroke([(x, -11), (x + side * 2.5, peak + 0.5)], colour, 1.2, 0.6)


def paint_nose(sitter: Sitter) -> None:
    """Paint the nose: big ones are broad, pointed ones narrow with a sharp tip."""
    broad = 13.5 if sitter.has("Big_Nose") else 8.5
    low = 27.0 if sitter.has("Big_Nose") else 24.5
    if sitter.has("Pointy_Nose"):
        broad, low = broad - 2.5, low + 1.5
    dark, light = mix(sitter.skin, DARK, 0.38), mix(sitter.skin, (255, 252, 246), 0.6)
    sitter.glaze(
        [(-5, -2), (-broad, low - 4), (-broad + 2, low + 2), (-2, low)], dark, 0.4, 1.4, 0.85
    )
    sitter.glaze([(-1.6, -4), (2.4, -4), (3.4, low - 5), (-2, low - 5)], light, 0.6, 1.2, 0.9)
    wing = [(-broad, low - 6), (-broad - 0.5, low), (-broad * 0.45, low + 2.4)]
    if sitter.has("Pointy_Nose"):
        base = [*wing, (0, low + 7), *[(-x, y) for x, y in reversed(wing)]]
        sitter.stroke(base, dark, 1.1, 1)
        sitter.glaze(ellipse((0, low + 1), (2.4, 2.4)), light, 0.9, 0.8, 1)
    else:
        base = [*wing, (0, low + 4), *[(-x, y) for x, y in reversed(wing)]]
        sitter.stroke(arc(base), dark, 1.1, 1)
        round_tip = ellipse((0, low - 3), (broad * 0.42, 4))
        sitter.glaze(round_tip, light, 0.5, 1.2, 1)
    for side in (-1, 1):
        hole = ellipse((side * broad * 0.5, low + 1), (broad * 0.2, 1.3), count=12)
        sitter.fill(hole, mix(sitter.skin, DARK, 0.72), 1)


def paint_mouth(sitter: Sitter) -> None:
    """Paint lips, closed or slightly open, smiling or not."""
    smile = sitter.has("Smiling")
    wide, lift = (19.5, 5.0) if smile else (14.5, 0.0)
    thick = 6.4 if sitter.has("Big_Lips") else 3.3
    gap = (6.0 if smile else 4.4) if sitter.has("Mouth_Slightly_Open") else 0.0
    y = 45.0
    left, right = (-wide, y - lift), (wide, y - lift)
    top = [left, (-7, y - thick * 0.9), (0, y - thick * 0.55), (7, y - thick * 0.9), right]
    low = [right, (8, y + gap + thick), (0, y + gap + thick * 1.25), (-8, y + gap + thick), left]
    sitter.fill([*arc(top).tolist(), *arc(low).tolist()], sitter.lips, 0.8)
    if gap > 0:
        upper = arc([left, (0, y + 0.5), right])
        lower = arc([right, (0, y + gap), left])
        sitter.fill([*upper.tolist(), *lower.tolist()], (66, 18, 24), 0.8)
        corner = y - lift * 0.5 + 0.6
        teeth = [(-wide * 0.72, corner), (0, y + 0.7), (wide * 0.72, corner)]
        bite = [(wide * 0.55, y + gap * 0.4), (0, y + gap * 0.72), (-wide * 0.55, y + gap * 0.4)]
        sitter.fill([*arc(teeth).tolist(), *arc(bite).tolist()], (248, 246, 240), 0.8)
    else:
        sitter.stroke(arc([left, (0, y + 0.6), right]), mix(sitter.lips, DARK, 0.6), 1.1, 0.8)
    sheen = ellipse((0, y + gap + thick * 0.7), (5, thick * 0.22))
    sitter.glaze(sheen, (255, 240, 240), 0.4, 0.6, 0.8)
    if smile:
        for side in (-1, 1):
            fold = arc([(side * 16, 29), (side * 23, 37), (side * 23, 44)])
            sitter.stroke(fold, mix(sitter.skin, DARK, 0.28), 1, 0.7)


def paint_beard(sitter: Sitter, face: list[tuple[float, float]]) -> None:
    """Paint what grows on a face, under the mouth that is painted later."""
    hair = mix(sitter.hair, DARK, 0.3)
    if sitter.has("5_o_Clock_Shadow"):
        stubble = mix(sitter.skin, (46, 48, 58), 0.62)
        jaw = [(x * 0.94, y - 1) for x, y in face if y > 15]
        jaw += [(-20, 30), (-9, 31), (0, 32), (9, 31), (20, 30)]
        sitter.glaze(jaw, stubble, 0.6, 1.6)
    if sitter.has("Goatee"):
        chin = [(-15, 46), (-14, 64), (-7, 74), (7, 74), (14, 64), (15, 46), (8, 55), (-8, 55)]
        sitter.fill(spline(chin), hair, 0.3)
        if sitter.has("Mustache") and sitter.has("Sideburns"):
            low = [(x * 0.97, y + 1) for x, y in face if y > 20]
            high = [(-31, 26), (-22, 42), (-12, 52), (12, 52), (22, 42), (31, 26)]
            sitter.fill([*low, *high], hair)
    if sitter.has("Mustache"):
        lip = [(-19, 43), (-14, 34), (0, 31), (14, 34), (19, 43), (10, 40), (0, 38.5), (-10, 40)]
        sitter.fill(spline(lip), hair, 0.8)
    if sitter.has("Sideburns"):
        for side in (-1, 1):
            strip = [(side * 40, -14), (side * 39, 26), (side * 33, 27), (side * 34, -14)]
            sitter.fill(strip, hair)


def paint_spectacles(sitter: Sitter) -> None:
    """Paint round or square spectacles, now and then dark ones."""
    rng = sitter.rng
    frame = ((22, 22, 24), (92, 52, 28), (150, 30, 40), (60, 62, 70))[int(rng.integers(4))]
    square, dark = rng.random() < 0.5, rng.random() < 0.2
    for side in (-1, 1):
        x = side * 19.0
        lens = ellipse((x, 1), (14, 12), count=24)
        if square:
            lens = spline([(x - 14, -9), (x + 14, -9), (x + 13, 11), (x - 13, 11)], 4)
        tint = ((24, 26, 30), 0.85) if dark else ((236, 244, 250), 0.16)
        sitter.glaze(lens, tint[0], tint[1], 0, 0.8)
        sitter.stroke([*lens.tolist(), lens[0].tolist()], frame, 2, 0.8)
        sitter.stroke([(side * 32, -2), (side * 42, -4)], frame, 2, 0.6)
    sitter.stroke(arc([(-5.5, 0), (0, -2.5), (5.5, 0)]), frame, 2, 0.8)

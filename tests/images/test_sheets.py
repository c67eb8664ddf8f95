"""Sheets: sizes, places, colours; how they look was judged by eye."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from darkroom.images import sheets
from darkroom.images.sheets import Pixels


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 60) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def test_grid_places_tiles_in_rows() -> None:
    red, blue, green = plain((255, 0, 0)), plain((0, 0, 255)), plain((0, 255, 0))
    page = sheets.grid([red, blue, green], columns=2, tile_height=40)
    left, top = sheets.MARGIN_PX, sheets.MARGIN_PX // 2
    assert tuple(page[top, left]) == (255, 0, 0)
    assert tuple(page[top + 39, left + 60 + sheets.GAP_PX]) == (0, 0, 255)
    assert tuple(page[top + 40 + sheets.GAP_PX + 4, left]) == (0, 255, 0)
    assert page.shape[1] == 2 * 60 + sheets.GAP_PX + 2 * sheets.MARGIN_PX
    assert tuple(page[0, 0]) == sheets.PAPER


def test_tiles_keep_their_shape_and_share_a_height() -> None:
    page = sheets.grid([plain((255, 0, 0), 400, 300)], columns=5, tile_height=100)
    red = (page == (255, 0, 0)).all(axis=2)
    assert red.sum() == 100 * 75
    wide = sheets.grid([plain((255, 0, 0), 10, 1000)], columns=5, tile_height=100)
    assert (wide == (255, 0, 0)).all(axis=2).sum() == 300 * 3


def test_captions_are_drawn_below_and_never_run_into_the_next_tile() -> None:
    tiles = [plain((0, 0, 0)), plain((0, 0, 0))]
    bare = sheets.grid(tiles, ["", ""], columns=2, tile_height=40)
    page = sheets.grid(tiles, ["a_caption_much_wider_than_its_tile\n×é", ""], columns=2)
    short = sheets.grid(
        tiles, ["a_caption_much_wider_than_its_tile", ""], columns=2, tile_height=40
    )
    changed = np.argwhere((short != bare).any(axis=2))
    assert len(changed) > 50
    assert changed[:, 0].min() >= sheets.MARGIN_PX // 2 + 40
    assert changed[:, 1].max() < sheets.MARGIN_PX + 60
    assert page.shape[0] > short.shape[0]


def test_long_captions_go_on_below_up_to_twenty_lines() -> None:
    tile = [plain((0, 0, 0))]
    heights = [
        sheets.grid(tile, [" ".join(["word"] * words)], columns=1, tile_height=40).shape[0]
        for words in (1, 2, 20, 40)
    ]
    line = heights[1] - heights[0]
    assert line > 0
    assert heights[2] == heights[0] + 19 * line
    assert heights[3] == heights[2]


def test_a_row_is_as_high_as_its_own_captions() -> None:
    tiles = [plain((0, 0, 0))] * 4
    long = " ".join(["word"] * 9)
    both, first = (
        sheets.grid(tiles, captions, columns=2, tile_height=40).shape[0]
        for captions in ([long, "a", "b", long], [long, long, "a", "b"])
    )
    line = round(sheets.CAPTION_SIZE_PX * sheets.LEADING)
    assert both - first == 8 * line


def test_marks_colour_the_foot_of_a_tile() -> None:
    page = sheets.grid(
        [plain((0, 0, 0)), plain((0, 0, 0))], columns=2, tile_height=40, marks=[sheets.RIGHT, None]
    )
    marked = (page == sheets.RIGHT).all(axis=2)
    assert marked.sum() == 4 * 60
    assert np.argwhere(marked).min(axis=0).tolist() == [50, sheets.MARGIN_PX]


def test_a_header_is_added_above_and_long_lines_are_broken() -> None:
    tile = plain((255, 0, 0))
    bare = sheets.grid([tile], columns=1)
    page = sheets.grid([tile], columns=1, title="faces", legend=sheets.COMPARE_LEGEND)
    long = sheets.grid([tile], columns=1, title="faces", text=["many words " * 30])
    two = sheets.grid([tile], columns=1, title="faces", text=["few words"])
    assert tuple(page[0, 0]) == sheets.ACCENT
    assert page.shape[0] > bare.shape[0]
    assert long.shape[0] > two.shape[0]
    for _, colour in sheets.COMPARE_LEGEND:
        assert (page == colour).all(axis=2).sum() >= 200


def test_an_empty_sheet_and_a_wrong_number_of_captions() -> None:
    assert sheets.grid([], columns=3, title="nothing to show").ndim == 3
    with pytest.raises(ValueError, match="1 captions for 2 tiles: give one a tile, or none"):
        sheets.grid([plain((0, 0, 0))] * 2, ["one"], columns=2)


def test_stack_puts_pages_below_each_other() -> None:
    page = sheets.stack([plain((255, 0, 0), 10, 20), plain((0, 0, 255), 5, 30)])
    assert page.shape == (15, 30, 3)
    assert tuple(page[0, 29]) == sheets.PAPER
    assert tuple(page[14, 29]) == (0, 0, 255)


def test_outline_draws_the_border_and_leaves_the_rest() -> None:
    image = plain((200, 200, 200), 100, 100)
    mask = np.zeros((100, 100), np.uint8)
    mask[30:70, 30:70] = 1
    drawn = sheets.outline(image, mask, (255, 0, 0), thickness=1)
    assert drawn[30, 50, 0] > 180
    assert drawn[30, 50, 1] < 30  # antialiased, so nearly red
    assert tuple(drawn[50, 50]) == tuple(drawn[10, 10]) == (200, 200, 200)
    assert (image == 200).all()
    np.testing.assert_array_equal(sheets.outline(image, np.zeros_like(mask)), image)
    with pytest.raises(ValueError, match="a mask of"):
        sheets.outline(image, mask[:50])


def test_an_outline_apart_leaves_both_sides_of_the_edge() -> None:
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    mask = np.zeros((200, 300), np.uint8)
    mask[60:140, 80:220] = 1
    drawn = sheets.outline(image, mask, apart=True)
    assert (drawn[60:140, 80:220] == image[60:140, 80:220]).all()
    assert (drawn[59, 90:210] == image[59, 90:210]).all(), "beyond the edge as well"
    assert (drawn[45:60, 150] == sheets.ACCENT).all(axis=1).any(), "the line is near"
    assert (drawn[:40] == image[:40]).all()


def test_a_small_image_is_enlarged_with_its_masks_before_it_is_drawn_on() -> None:
    image, planes = plain((9, 9, 9), 20, 30), np.zeros((2, 20, 30), np.uint8)
    planes[1, 5:15] = 1
    larger, masks = sheets.enlarged(image, planes, 200)
    assert masks is not None
    assert (larger.shape, masks.shape) == ((200, 300, 3), (2, 200, 300))
    assert masks[1].mean() == pytest.approx(0.5, abs=0.01)
    assert set(np.unique(masks)) == {0, 1}
    assert sheets.enlarged(image, None, 200)[1] is None
    assert sheets.enlarged(image, planes, 20)[0] is image
    wide = plain((9, 9, 9), 10, 300)
    assert sheets.enlarged(wide, None, 50)[0] is wide, "it would become lower as a tile"


def test_compare_tints_each_kind_of_pixel() -> None:
    image = plain((100, 100, 100), 2, 2)
    truth, prediction = np.array([[1, 1], [0, 0]], np.uint8), np.array([[1, 0], [1, 0]], np.uint8)
    result = sheets.compare(image, truth, prediction).astype(int)

    def distance(y: int, x: int, colour: tuple[int, int, int]) -> int:
        return int(np.abs(result[y, x] - colour).sum())

    assert distance(1, 0, sheets.EXCESS) < 60
    assert distance(0, 1, sheets.MISSED) < 60
    assert distance(0, 0, (100, 100, 100)) < distance(0, 0, sheets.RIGHT)
    assert result[0, 0, 1] > result[0, 0, 0]
    assert tuple(result[1, 1]) == (45, 45, 45)


def test_compare_shows_a_thin_error_when_scaled_down() -> None:
    image = plain((0, 0, 0), 200, 200)
    truth, prediction = np.zeros((2, 200, 200), np.uint8)
    truth[:, 100] = 1
    small = sheets.compare(image, truth, prediction, height=20)
    assert small.shape == (20, 20, 3)
    assert small[:, 10, 0].min() > 60
    assert small[:, 5].max() == 0


def test_write_jpeg_is_whole_and_repeatable(tmp_path: Path) -> None:
    page = sheets.grid([plain((255, 0, 0))], ["one"], columns=1)
    for name in ("a.jpg", "b.jpg"):
        sheets.write_jpeg(tmp_path / "new" / name, page)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.jpg", "b.jpg"]
    data = (tmp_path / "new" / "a.jpg").read_bytes()
    assert data == (tmp_path / "new" / "b.jpg").read_bytes()
    read = cv2.imread(str(tmp_path / "new" / "a.jpg"))
    assert read is not None
    assert np.abs(read[..., ::-1].astype(int) - page).mean() < 3
    assert data.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("width", [40, 333])
def test_a_line_is_cut_where_it_no_longer_fits(width: int) -> None:
    line, font = "a label iiii WWWW " * 60, sheets._font(12)
    fitting = (n for n in range(len(line), -1, -1) if font.getlength(line[:n] + "…") <= width)
    assert sheets._clip(line, 12, width) == line[: next(fitting)] + "…"


@pytest.mark.parametrize(("channels", "seen"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (6, [0, 1, 2])])
def test_pictures_of_other_channels_are_shown_by_their_first(
    channels: int, seen: list[int]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (8, 9, channels), dtype=np.uint8)
    assert np.array_equal(sheets.as_rgb(pixels), pixels[:, :, seen])
    mask = np.zeros((8, 9), np.uint8)
    assert sheets.outline(pixels, mask).shape == sheets.compare(pixels, mask, mask).shape
    assert sheets.grid([pixels], columns=1).shape[2] == 3


def test_a_long_legend_goes_on_in_further_rows() -> None:
    tile = np.zeros((100, 100, 3), np.uint8)
    names = [(f"a class of number {number}", (255, number, 0)) for number in range(12)]
    short = sheets.grid([tile], columns=1, title="a", legend=names[:2])
    long = sheets.grid([tile], columns=1, title="a", legend=names)
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] == short.shape[0] + 3 * sheets.LEGEND_ROW_PX
    for _, colour in names:
        assert (long == colour).all(axis=2).sum() >= 15 * 15

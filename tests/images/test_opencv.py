import re
from pathlib import Path

import darkroom
from darkroom.images.opencv import cv2


def test_opencv_has_no_threads_of_its_own() -> None:
    assert cv2.getNumThreads() == 1


def test_it_is_imported_nowhere_else() -> None:
    source = Path(darkroom.__file__).parent
    importing = [
        path.relative_to(source).as_posix()
        for path in sorted(source.rglob("*.py"))
        if re.search(r"^\s*(import cv2|from cv2)", path.read_text(), re.MULTILINE)
    ]
    assert importing == ["images/opencv.py"]

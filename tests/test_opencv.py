from darkroom.opencv import cv2


def test_opencv_has_no_threads_of_its_own() -> None:
    assert cv2.getNumThreads() == 1

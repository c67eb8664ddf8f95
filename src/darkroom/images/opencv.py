"""OpenCV, set up once: everything that needs `cv2` takes it from here."""

import cv2

# The parallelism is ours (worker processes). OpenCV's own threads would fight it for the cores,
# and a process forked while they run can hang.
cv2.setNumThreads(0)

__all__ = ["cv2"]

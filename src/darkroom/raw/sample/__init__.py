"""Draw raw files of the three competitions: real layout, names and sizes, invented pictures.

With them the whole pipeline runs, and learns something, on a machine without data.
"""

from darkroom.raw.sample.banknotes import draw_banknotes
from darkroom.raw.sample.carvana import draw_carvana
from darkroom.raw.sample.celeba import draw_celeba

__all__ = ["draw_banknotes", "draw_carvana", "draw_celeba"]

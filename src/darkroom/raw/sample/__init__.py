"""Raw files of the three competitions, drawn: real layout, names and sizes, invented pictures.

They make the whole pipeline run, and learn something, on a machine that has no data yet.
"""

from darkroom.raw.sample.banknotes import draw_banknotes
from darkroom.raw.sample.carvana import draw_carvana
from darkroom.raw.sample.celeba import draw_celeba

__all__ = ["draw_banknotes", "draw_carvana", "draw_celeba"]

"""Procedural street scenes: the embedded data set, no download.

Eleven CamVid classes with exact labels, drawn by a small 2.5D renderer (numpy and Pillow only):

>>> from edgeseg.data.streets import Streets, drive
>>> image, label = Streets("train", n=8, size=(192, 256))[0]
>>> image.shape, label.shape
((192, 256, 3), (192, 256))
"""

from edgeseg.data.streets.dataset import FACTORS, GENERATOR_VERSION, SPLITS, Streets

__all__ = ["FACTORS", "GENERATOR_VERSION", "SPLITS", "Streets"]

"""Procedural street scenes: the embedded data set, no download.

Eleven CamVid classes with exact labels, drawn by a small 2.5D renderer (numpy and Pillow only):

>>> from edgeseg.data.streets import Streets, drive
>>> image, label = Streets("train", n=8, size=(192, 256))[0]
>>> image.shape, label.shape
((192, 256, 3), (192, 256))

What makes the scenes more than a colour table: the same asphalt on both sides of a kerb, signs against shop fronts of
the same colour, riders who are pedestrians but for their wheels, sky in windows, trunks as grey as poles; and one
light, air and white balance over all of it. Fog, night and the other side of the road are switches, for
tests on what training never saw.

Modules: `dataset` (Streets, cache), `workers` (processes), `ride` (video), `folders` (scenes as files); `scene`,
`layout` (what stands where); `road`, `buildings`, `plants`, `barriers`, `furniture`, `vehicles`, `people` (what things
look like); `light` (hour, weather, sky), `canvas` (camera, the two rasters), `finish` (texture, shadows, the camera's
curve).
"""

from edgeseg.data.streets.dataset import GENERATOR_VERSION, SPLITS, Streets
from edgeseg.data.streets.folders import write_streets
from edgeseg.data.streets.ride import drive
from edgeseg.data.streets.scene import FACTORS, Scene, make_scene, render

__all__ = [
    "FACTORS",
    "GENERATOR_VERSION",
    "SPLITS",
    "Scene",
    "Streets",
    "drive",
    "make_scene",
    "render",
    "write_streets",
]

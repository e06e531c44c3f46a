"""The one value that is no class: a file of its own, so that drawing scenes needs no torch and scoring no data set."""

VOID = 255

"""Plots that are too long for a cell: one module a lesson."""

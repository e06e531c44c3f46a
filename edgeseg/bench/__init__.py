"""Benchmarks: the timing protocol, the roofline, other people's networks to compare with."""

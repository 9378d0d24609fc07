"""Measurements, side by side with the peers that are installed: `python -m bench --help`.

A measurement is a module in `measure/` with `measure(world) -> rows`. It runs its sides in turn, once each per round,
so that what else happens on the machine meets all of them; a ratio is taken within a round. Nothing here asserts.
"""

"""Libraries whose pins conflict with ours, each in a Python environment of its own.

`cards` has the environments, `find` looks for one, `make` makes it, `worker` runs a script in it.
`frames` and `serve` run on both sides, or on the other one only: they import nothing of ours.
"""

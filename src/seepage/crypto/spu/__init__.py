"""ABY3 and SEMI2K by SPU, whose parties are processes of their own: sums, and robust reductions.

`session` has the protocols, `reductions` what can be computed of vectors that stay shared,
`networks` the comparators of medians, `parties` the processes. `client_process` and
`party_process` run in SPU's environment and import nothing of ours.
"""

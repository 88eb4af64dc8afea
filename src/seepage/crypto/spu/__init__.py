"""ABY3 and SEMI2K by SPU, whose parties are processes of their own: sums, and robust reductions.

`session` has the protocols, `reducing` what they can be told to compute, `reductions` how that is
done on vectors that stay shared, `networks` the comparators of medians, `parties` the processes.
`client_process`, `party_process` and `sharing` run in SPU's environment and import nothing of ours.
"""

"""Sums under CKKS whose key no single party has (OpenFHE, in an environment of its own).

`parameters` says how much noise hides what decryptions would tell, `openfhe_ring` is the scheme
and `client_process` and `aggregator_process` run it. `joint_key` is the key that clients make,
`key_shares` what their process does with it, and `escrow` lets enough clients stand in for one
that is lost. `session` is the protocol, `rounds` its messages.
"""

"""Encrypted uploads that parties reduce on shares, and clients open: OpenFHE and SPU together.

`parameters` says how wide words are and how much noise hides what opening them tells; `words` are
such words in numpy. `openfhe_bfv` is the encryption, which `client_process`, `party_process` and
`server_process` run. `team` has all processes, `rounds` the messages, `session` the protocol.
"""

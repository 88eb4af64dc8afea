"""Sums under CKKS encryption (TenSEAL): a key that clients hold, an aggregator that has none.

`parameters` says what is secure and how exact sums are, `seal_scheme` is the scheme,
`aggregator_process` runs on its own, `keys` are the clients', `session` is the protocol.
"""

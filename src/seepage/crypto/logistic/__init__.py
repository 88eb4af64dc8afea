"""Logistic regression on encrypted records, for as many rounds as one likes (OpenFHE).

`model` is the training in the open and how records are laid out, `openfhe_training` does it under
CKKS with bootstrapping, `client_process` and `server_process` run that, `session` is the protocol.
"""

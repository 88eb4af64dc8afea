"""Votes under FHEW/TFHE encryption (OpenFHE): single bits, and gates that keep them encrypted.

`circuit` turns a majority into gates, `openfhe_gates` evaluates gates, `client_process` and
`evaluator_process` run it, `session` is the protocol.
"""

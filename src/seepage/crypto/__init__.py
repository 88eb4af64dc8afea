"""Sums that nobody sees the parts of: protocols, what each party sees of them, what they cost.

`api` has the public functions, `cards` the protocols and what each promises. A protocol gets a
`SumJob` and gives back a `SecureSum`; whatever crosses between parties is bytes on a `Wire`.
"""

"""Secure aggregation by authenticated shares over Z_2^64, after SPDZ2k.

Cramer, Damgard, Escudero, Scholl & Xing 2018 (CRYPTO, ePrint 2018/482, section 3) for shares and
MACs modulo 2^64 of values modulo 2^32; Damgard et al. 2012 (CRYPTO, SPDZ) for masked inputs.

    dealer    offline: masks r; each party gets a share of r, of alpha r and of the MAC key alpha
    client    sends x - r to every party
    parties   compare what they got, add up, open sum + (the receiver's mask), toss a coin, commit
              to and open their MAC shares of a random combination, and only then send
    receiver  takes its mask off: it alone learns the sum

Of the parties all but one may be malicious, together with the receiver and clients: they learn
the sum and can abort, nothing else. The dealer is trusted to follow the protocol and to collude
with nobody. A client may put any vector in: ranges are its own to keep.

`dealer`, `client`, `party` and `receiver` are the roles, bytes in and bytes out; `session` runs
them all in one process. Channels are taken to be private and authenticated.
"""

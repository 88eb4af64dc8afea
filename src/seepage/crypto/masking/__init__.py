"""Secure aggregation by pairwise masks, after Bonawitz et al. 2017 (CCS, section 6, malicious).

    keys         each client signs two fresh X25519 keys                          (round 0)
    shares       it shares its mask key and its own mask's seed among neighbors   (round 1)
    upload       vector + own mask + masks that cancel against each neighbor's    (round 2)
    consistency  clients sign whom the server calls survivors                     (round 3)
    unmask       shares of survivors' seeds, and of the mask keys of who is gone  (round 4)

`client` and `server` are the two roles, bytes in and bytes out; `session` runs them all in one
process. Neighbors are all clients, or k of them on a graph (Bell et al. 2020, ePrint 2020/704).
"""

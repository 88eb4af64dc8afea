"""The catalogue of protocols: facts that need nothing imported to read."""

from __future__ import annotations

from ..core.cards import Parameter
from ..core.errors import UsageError
from ..core.names import nearest
from .protocol_card import MALICIOUS, SEMI_HONEST, ProtocolCard

_SPU_PARAMETERS = (
    Parameter(name="reduction", default="sum", summary="sum, clip, median or trimmed-mean"),
    Parameter(name="clip_norm", default=1.0, summary="longest L2 norm that clip leaves as it is"),
    Parameter(
        name="trim",
        default=1,
        summary="clients that trimmed-mean leaves out at each end, 1 or more",
    ),
    Parameter(
        name="clamp",
        default=True,
        summary="hold shared entries to the bound before they are clipped or sorted",
    ),
    Parameter(name="threshold", default=2, summary="fewest clients whose result is revealed"),
    Parameter(name="timeout", default=600.0, summary="seconds of silence that abort it"),
)

CARDS: tuple[ProtocolCard, ...] = (
    ProtocolCard(
        name="plain",
        summary="No protection: the server sees every vector.",
        implementation="seepage.crypto.plain:PlainSum",
        parties="a server",
        trust="the server is trusted with every vector",
        tolerates="nobody",
        security="none",
        leaks="every vector",
        rounds=1,
        client_ms=1.5,
        server_ms=8.6,
    ),
    ProtocolCard(
        name="masking",
        summary="Clients add masks that cancel in the sum; shares rebuild those of drop-outs.",
        implementation="seepage.crypto.masking.session:Masking",
        reference="Bonawitz et al. 2017, CCS; Bell et al. 2020, ePrint 2020/704",
        year=2017,
        parameters=(
            Parameter(
                name="threshold",
                default=None,
                summary="clients that must stay to the end; 2 x threshold > clients + colluders",
            ),
            Parameter(name="colluders", default=0, summary="clients that may aid the server"),
            Parameter(
                name="neighbors",
                default=0,
                summary="with how many others each client masks, an even number; 0: all",
            ),
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest vectors whose sum is revealed, 2 or more",
            ),
        ),
        parties="a server",
        trust="identity keys of clients are known beforehand",
        tolerates="the server and fewer than 2 x threshold - clients of them",
        security=MALICIOUS,
        leaks="who takes part; the server can spoil a sum, and so can any client",
        rounds=5,
        client_ms=13.0,
        server_ms=23.8,
    ),
    ProtocolCard(
        name="ckks",
        summary="Clients encrypt under a key that some of them hold; the aggregator has none.",
        implementation="seepage.crypto.ckks.session:CKKS",
        reference="Cheon et al. 2017, ASIACRYPT; IND-CPA-D: Li, Micciancio 2021, EUROCRYPT",
        year=2017,
        parameters=(
            Parameter(
                name="poly_modulus_degree",
                default=4096,
                summary="of the ring; 128-bit secure with the modulus, or refused",
            ),
            Parameter(name="modulus_bits", default=60, summary="of the one prime, 20 to 60"),
            Parameter(
                name="key_holders",
                default=2,
                summary="clients that hold the key; the sum is lost when all of them are",
            ),
            Parameter(name="rotate_every", default=1, summary="sums under one key"),
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest vectors whose sum is revealed, 2 or more",
            ),
            Parameter(
                name="insecure_toy",
                default=False,
                summary="INSECURE: allow parameters below 128 bits, for tests",
            ),
        ),
        parties="an aggregator without the key, clients with it",
        trust="no client that holds the key works with the aggregator, and clients get the public "
        "key that the holders made",
        tolerates="the aggregator alone, or clients without the key; a holder and the aggregator "
        "open every vector",
        security=SEMI_HONEST,
        leaks="who takes part. A decryption that is shared would leak the key by its noise "
        "(IND-CPA-D): it is rounded to the exact sum first, so there is no noise in it",
        rounds=3,
        extra="he",
        module="tenseal",
        expansion=5.2,
        client_ms=290.5,
        server_ms=337.6,
    ),
    ProtocolCard(
        name="threshold-ckks",
        summary="Clients encrypt under a key that no one has, and decrypt the sum together.",
        implementation="seepage.crypto.threshold_ckks.session:ThresholdCKKS",
        reference="Asharov et al. 2012, EUROCRYPT; Mouchet et al. 2021, PoPETs",
        year=2021,
        parameters=(
            Parameter(
                name="threshold",
                default=None,
                summary="clients that it takes to open a sum, lost ones' parts included",
            ),
            Parameter(
                name="statistical_bits",
                default=40,
                summary="partial decryptions tell less than 2^-this of the key",
            ),
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest vectors whose sum is revealed, 2 or more",
            ),
        ),
        parties="an aggregator without a key, clients with a share of it each",
        trust="fewer than the threshold of clients work together, and the server passes on keys "
        "as it got them",
        tolerates="the server and fewer clients than the threshold",
        security=SEMI_HONEST,
        leaks="who takes part; who stands in for a lost client learns its share of that one "
        "sum's key. Partial decryptions are flooded with noise",
        rounds=5,
        environments=("openfhe",),
        expansion=12.3,
        client_ms=1684.5,
        server_ms=1812.2,
    ),
    ProtocolCard(
        name="spdz",
        summary="Parties add authenticated shares; whatever is tampered with aborts the sum.",
        implementation="seepage.crypto.spdz.session:SPDZ",
        reference="Cramer et al. 2018, CRYPTO, ePrint 2018/482; Damgard et al. 2012, CRYPTO",
        year=2018,
        parameters=(
            Parameter(name="parties", default=3, summary="that compute, 2 or more"),
            Parameter(name="threshold", default=2, summary="fewest clients whose sum is revealed"),
        ),
        parties="a dealer (offline), computing parties, and a server that receives the sum",
        trust="one computing party is honest, and the dealer keeps to the protocol, alone",
        tolerates="all computing parties but one, the server and any clients",
        security=MALICIOUS,
        leaks="who takes part; any party can abort, and any client can spoil the sum",
        rounds=1,
        expansion=3.0,
        client_ms=8.4,
        server_ms=74.7,
        offline_ms=106.0,
    ),
    ProtocolCard(
        name="aby3",
        summary="Three parties add or robustly reduce replicated shares, by SPU.",
        implementation="seepage.crypto.spu.aby3:ABY3",
        reference="Mohassel, Rindal 2018, CCS, ePrint 2018/403; SPU: Ma et al. 2023, USENIX ATC",
        year=2018,
        parameters=_SPU_PARAMETERS,
        parties="three computing parties, and a server that receives the result",
        trust="no two of the three parties collude, and all of them follow the protocol",
        tolerates="any one computing party, the server and any clients",
        security=SEMI_HONEST,
        leaks="who takes part; any client can spoil a sum, by less when it is clipped or a median",
        rounds=1,
        expansion=12.0,
        environments=("spu",),
        client_ms=123.7,
        server_ms=563.5,
    ),
    ProtocolCard(
        name="semi2k",
        summary="Two parties or more add or robustly reduce additive shares, by SPU.",
        implementation="seepage.crypto.spu.semi2k:SEMI2K",
        reference="Cramer et al. 2018, CRYPTO, ePrint 2018/482; SPU: Ma et al. 2023, USENIX ATC",
        year=2018,
        parameters=(
            *_SPU_PARAMETERS,
            Parameter(name="parties", default=2, summary="that compute, 2 or more"),
            Parameter(
                name="trusted_first_party",
                default=False,
                summary="let party 0 make the triples and see everything; all but sums need it",
            ),
        ),
        parties="computing parties, and a server that receives the result",
        trust="one computing party is honest, and all follow the protocol. Beyond sums, party 0 "
        "makes the triples: it is trusted with every vector (SPU's trusted first party)",
        tolerates="for sums, all computing parties but one, the server and any clients; beyond "
        "sums, nobody together with party 0",
        security=SEMI_HONEST,
        leaks="who takes part; any client can spoil a sum, by less when it is clipped or a median",
        rounds=1,
        expansion=4.0,
        environments=("spu",),
        client_ms=45.1,
        server_ms=246.5,
    ),
    ProtocolCard(
        name="hybrid",
        summary="Clients encrypt; parties add or robustly reduce shares; enough clients open.",
        implementation="seepage.crypto.hybrid.session:Hybrid",
        reference="BFV: Fan, Vercauteren 2012, ePrint 2012/144; ABY3: Mohassel, Rindal 2018, CCS",
        year=2018,
        parameters=(
            *(p for p in _SPU_PARAMETERS if p.name in {"reduction", "clip_norm", "trim"}),
            Parameter(
                name="threshold",
                default=None,
                summary="clients that it takes to open anything, lost ones' parts included",
            ),
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest vectors whose result is revealed, 2 or more",
            ),
            Parameter(name="timeout", default=600.0, summary="seconds of silence that abort it"),
        ),
        parties="a server without a key, three computing parties, clients with a share of the key "
        "each",
        trust="no two of the three parties collude, fewer than the threshold of clients work "
        "together, and all follow the protocol: the server has clients open only what is masked",
        tolerates="the server, any one computing party and fewer clients than the threshold",
        security=SEMI_HONEST,
        leaks="who takes part; who stands in for a lost client learns its share of that one "
        "sum's key; any client can spoil a sum, by less when it is clipped or a median",
        rounds=5,
        environments=("openfhe", "spu"),
        expansion=69.0,
    ),
)


def protocol_card(name: str) -> ProtocolCard:
    """Return a protocol's card; an unknown one raises `UsageError` with the nearest."""
    known = {card.name: card for card in CARDS}
    if name not in known:
        raise UsageError(f"no protocol is called {name!r}{nearest(name, known)}")
    return known[name]

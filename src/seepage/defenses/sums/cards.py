"""The catalogue of defenses by secure sums: the protocols' own facts, as a defense's."""

from __future__ import annotations

from ...core.cards import DefenseCard, Parameter
from ...crypto.cards import CARDS as PROTOCOLS
from ...crypto.protocol_card import MALICIOUS, ProtocolCard

ADAPTIVE = ("fully-connected", "imprint", "model-inconsistency", "sybils", "disaggregation")
"""What gets around a sum: all that a card of a secure sum names."""

_CLASSES = {
    "masking": "masking:Masking",
    "spdz": "spdz:SPDZ",
    "ckks": "ckks:CKKS",
    "threshold-ckks": "threshold_ckks:ThresholdCKKS",
    "aby3": "shares:ABY3",
    "semi2k": "shares:SEMI2K",
    "hybrid": "shares:Hybrid",
}
_BOUND = Parameter(
    name="bound", default=16.0, summary="public range of an entry of an update; beyond it: refused"
)


def _defense(card: ProtocolCard) -> DefenseCard:
    lies = "which may send anything" if card.security == MALICIOUS else "who keep to the protocol"
    how = card.summary[0].lower() + card.summary[1:]
    return DefenseCard(
        name=card.name,
        summary=f"Updates are added up by a secure sum: {how}",
        implementation=f"seepage.defenses.sums.{_CLASSES[card.name]}",
        reference=card.reference,
        year=card.year,
        parameters=(_BOUND, *card.parameters),
        mechanism=f"a real protocol, run by {card.parties}; the sum is exact but for rounding",
        guarantee="none",
        adaptive_attacks=ADAPTIVE,
        protects="which update is whose",
        against=f"{card.tolerates}, {lies}, as long as {card.trust}",
        leaves_open=f"all that a sum shows, {card.leaks}",
        sums=True,
        protocol=card.name,
    )


SUMS: tuple[DefenseCard, ...] = (
    *(_defense(c) for c in PROTOCOLS if c.name in _CLASSES),
    DefenseCard(
        name="selective-encryption",
        summary="Clients encrypt the coordinates of their updates that tell most, and send the "
        "rest as it is.",
        implementation="seepage.defenses.sums.selective_encryption:SelectiveEncryption",
        reference="Jin et al. 2023, arXiv 2303.10837",
        year=2023,
        parameters=(
            Parameter(
                name="fraction",
                default=0.1,
                summary="share of all coordinates that is encrypted, above 0 and at most 1",
            ),
            Parameter(
                name="rule",
                default="largest",
                summary="which: `largest` over the cohort, `last` layers first, or `random`",
            ),
            Parameter(
                name="expansion",
                default=5.2,
                summary="bytes of an encrypted coordinate to those of a float32",
            ),
        ),
        mechanism="the largest coordinates are seen in the sum only, the others in every update",
        guarantee="heuristic",
        adaptive_attacks=("inverting-gradients", "fully-connected"),
        protects="nothing that can be stated: the coordinates that are encrypted",
        against="an attacker who needs just those coordinates",
        leaves_open="the records: what is in the clear is exact, and matching by it alone works",
    ),
)

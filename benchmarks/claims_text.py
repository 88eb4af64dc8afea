"""What the page of `dp_claims.py` says in words; its figures are those of the recorded run."""

ABOUT = """
Recorded from `python benchmarks/dp_claims.py` (11 minutes of one shared core);
intervals are of 95 %, epsilon is at delta 1e-5.

- (a) One record behind every release, at a linear model that stands still, clipped to the 5 %
  quantile of public gradient lengths, so that next to all are as long as clipping allows: what
  epsilon speaks of. Unit record, add-remove. The attacker has 2,000 images like it (CIFAR-10:
  1,000). Candidate test: 500 releases; reconstructions: 60 and 40 images, 20 without noise.
- (b) Unit client. LocalDP is accounted under replace adjacency, the others under zero-out, which
  takes half the noise: by that, LocalDP would need a quarter of its clients. Leaks: the update
  rests on one record, and the attacker knows all other updates. Utility: logistic regression,
  20 clients, full-batch FedAvg of 5 local steps, inputs less the public mean; clipping norm and
  learning rate chosen on public records; 6 seeds (split, start, noise), Student's limits.
  *Emulated*: more than 20 clients are the same 20 under the noise that the mean of so many has.
  A larger model should need more: LocalDP as its parameters, the others as their square root.
- *null*: the same attack on another record's release. *ReRo*: the most that any attack reaches.
"""

CLAIMS = (
    (
        "87 % of pixels come back under epsilon 1.5 with 500 queries (said of MNIST; here"
        " Fashion-MNIST)",
        "**refuted** if 1.5 is the total; **only if** 1.5 is of each query, and then the "
        "epsilon is 73.6",
        "total 1.5: .724 [.704, .744] of binarized pixels, where the mean image has .720;"
        " picked of 1,000 in .002 [.000, .011]. 500 x 1.5: .871 [.845, .894], .151 over "
        "the mean image, and picked in .774 [.735, .810]. That image's class mean alone "
        "has .844",
    ),
    (
        "71 % of CIFAR-10 pixels, likewise",
        "**refuted** if 1.5 is the total; **not reached** at 500 x 1.5 by any attack here",
        "total 1.5: .577 [.536, .617], the mean image .589. 500 x 1.5: .597 [.541, .653] "
        "and no gain in pixels, though the image is picked of 1,000 in .796 [.758, .830] "
        "of cases. At 73.6 no bound forbids more",
    ),
    (
        "Epsilon of at most 1.5 keeps reconstruction below 5 %",
        "**holds only if** 1.5 is the total, and a blind guess is right in at most 2.1 % of cases",
        "of 1,000 candidates: at most .003 picked of 1,000 releases (bound .003; 300 "
        "releases of DistributedDP: .003 and .007). Of 20 candidates: .063 to .090 (bound"
        " .104). At 1.5 each of 20 rounds (8.38): .031 of 1,000 and .374 of 20",
    ),
    (
        ".. at more than 90 % of utility: LocalDP",
        "**refuted** below tens of thousands of clients",
        "digits: .14 of the baseline kept at 20 clients, .87 at 30,000, above .9 from "
        "100,000 (emulated). PneumoniaMNIST, AUC: .59 at 20, above .9 from 30,000 "
        "(emulated)",
    ),
    (
        ".. CentralDP",
        "**only if** the server is trusted with every update, and there are 80 to 160 clients",
        "the server itself picks 1.000 and .995 of 1,000. Kept at 20 clients: .33 and "
        ".87; above .9 from 160 (digits) and 80 (PneumoniaMNIST), emulated",
    ),
    (
        ".. DistributedDP",
        "**only if** 80 to 160 honest clients are in each sum",
        "kept at 20 clients: .36 and .82; above .9 from 160 and 80, emulated; no server "
        "has to be trusted with updates",
    ),
)
"""Each claim, what became of it, and the figures."""

NOTES = """
- Pixel accuracy is no evidence. On CIFAR-10 73.6 gives away who it was and next to no pixel; on
  Fashion-MNIST .87 of binarized pixels is .03 above the mean image of the right class.
- "90 % of utility" is no claim where classes are rare: on PneumoniaMNIST always saying
  "pneumonia" keeps .934 of the baseline's accuracy. So AUC counts there, of which .5 is nothing.
- Averaging without a prior has fewer binarized pixels right than the mean image at both budgets:
  who does not attack with a prior, or with candidates, sees no leak at 73.6.
- No lower limit is above its bound.
"""

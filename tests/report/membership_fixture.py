"""Of whom a membership attack told, as an audit says it, with text that is hostile."""

from seepage.core.exposed import ExposedRecord, FoundAt, Group, Membership, Outliers, Slice

HOSTILE = "<script>alert(1)</script>\"'&|`[x](y)\x1b[31m\x00@all"

MEMBERSHIP = Membership(
    members=900,
    others=1100,
    found=(
        FoundAt(fpr=0.001, withheld="1,100 non-members, 10,000 needed"),
        FoundAt(fpr=0.01, value=0.23, ci=(0.2, 0.26), null=0.012),
        FoundAt(fpr=0.1, value=0.4, ci=(0.36, 0.44), null=0.11),
    ),
    balanced_accuracy=0.66,
    balanced_accuracy_ci=(0.63, 0.69),
    most_exposed=(
        ExposedRecord(
            row=4711, client="north", fpr=0.0, ci=(0.0, 0.0033), null_fpr=0.41, farther_than=0.97
        ),
        ExposedRecord(row=12, client=HOSTILE, fpr=0.002, ci=(0.0003, 0.0065), null_fpr=0.002),
    ),
    outliers=Outliers(correlation=0.31, ci=(0.25, 0.37), n=900, p_value=1e-9, beyond_chance=True),
    slices=(
        Slice(
            by="sex",
            groups=(
                Group(
                    name="female",
                    members=250,
                    others=1050,
                    auc=0.71,
                    auc_ci=(0.67, 0.75),
                    tpr_at_1pct_fpr=0.3,
                    tpr_at_1pct_fpr_ci=(0.24, 0.36),
                ),
                Group(
                    name=HOSTILE,
                    members=650,
                    others=50,
                    auc=0.56,
                    auc_ci=(0.53, 0.59),
                    withheld="50 non-members, 1,000 needed",
                ),
            ),
            p_values={"auc": 2e-7},
            differ=("auc",),
            left_out="2 with fewer than 20 members or non-members (17 records)",
        ),
        Slice(by="client", groups=(), left_out="9 with fewer than 20 members or non-members"),
    ),
    tests=2,
)

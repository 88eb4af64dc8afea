"""The datasets that have names: bundled with scikit-learn, or kept in the data folder.

The data folder is SEEPAGE_DATA, else the user's cache folder. An implementation takes
`scale` and returns a `seepage.data.dataset.Dataset`.
"""

from ..core.cards import Card, Parameter

_SCALE = Parameter(
    name="scale",
    default="auto",
    summary="`auto`, `unit`, `standard` or `none`, as in a plan's data.scale",
)

_PUBLIC_SCALE = Parameter(
    name="scale",
    default="auto",
    summary="`auto` (public limits to [-1, 1]), `unit` (to [0, 1]), `none`, or `standard` (by "
    "this data's own mean and deviation, which no epsilon covers)",
)

BUNDLED = (
    Card(
        name="digits",
        summary="1,797 handwritten digits, 1x8x8 gray values in [0, 1], 10 classes.",
        implementation="seepage.data.bundled:digits",
        reference="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI",
        year=1998,
        parameters=(_SCALE,),
    ),
    Card(
        name="breast-cancer",
        summary="569 breast tumors (Wisconsin, diagnostic), 30 standardized measures, 2 classes.",
        implementation="seepage.data.bundled:breast_cancer",
        reference="Street, Wolberg and Mangasarian, Nuclear feature extraction for breast tumor "
        "diagnosis, SPIE 1905",
        year=1993,
        parameters=(_SCALE,),
    ),
    Card(
        name="wine",
        summary="178 Italian wines, 13 standardized chemical measures, 3 classes.",
        implementation="seepage.data.bundled:wine",
        reference="Aeberhard and Forina, Wine, UCI",
        year=1991,
        parameters=(_SCALE,),
    ),
    Card(
        name="diabetes",
        summary="442 patients, 10 standardized measures; regression of disease progression.",
        implementation="seepage.data.bundled:diabetes",
        reference="Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, "
        "Annals of Statistics 32(2)",
        year=2004,
        parameters=(_SCALE,),
    ),
)

STORED = (
    Card(
        name="icu-mortality",
        summary="4,000 stays in intensive care, 190 public-range measures of 48 hours, death in "
        "hospital or not; grouped by unit (data folder).",
        implementation="seepage.data.sets.icu_mortality:icu_mortality",
        reference="Silva, Moody, Scott, Celi and Mark, Predicting in-hospital mortality of ICU "
        "patients: the PhysioNet/Computing in Cardiology Challenge 2012",
        year=2012,
        parameters=(_PUBLIC_SCALE,),
    ),
    Card(
        name="heart-disease",
        summary="920 patients of four hospitals, 13 measures, heart disease or not; grouped by "
        "hospital (data folder).",
        implementation="seepage.data.sets.heart_disease:heart_disease",
        reference="Detrano et al., International application of a new probability algorithm for "
        "the diagnosis of coronary artery disease, American Journal of Cardiology 64",
        year=1989,
        parameters=(_PUBLIC_SCALE,),
    ),
    Card(
        name="credit-default",
        summary="30,000 card holders in Taiwan, 23 columns, default next month or not (data "
        "folder).",
        implementation="seepage.data.sets.credit_default:credit_default",
        reference="Yeh and Lien, The comparisons of data mining techniques for the predictive "
        "accuracy of probability of default of credit card clients, Expert Systems 36(2)",
        year=2009,
        parameters=(_PUBLIC_SCALE,),
    ),
    Card(
        name="income",
        summary="48,842 adults of the 1994 US census, 12 columns, above 50,000 dollars or not "
        "(data folder).",
        implementation="seepage.data.sets.income:income",
        reference="Kohavi, Scaling up the accuracy of naive-Bayes classifiers: a decision-tree "
        "hybrid, KDD",
        year=1996,
        parameters=(_PUBLIC_SCALE,),
    ),
    Card(
        name="pneumonia",
        summary="Children's chest X-rays, 1x28x28 in [0, 1], pneumonia or not (data folder).",
        implementation="seepage.data.sets.images:pneumonia",
        reference="Yang et al., MedMNIST v2, Scientific Data 10; Kermany et al., Cell 172(5)",
        year=2023,
        parameters=(_SCALE,),
    ),
    Card(
        name="cifar10",
        summary="Photographs of 10 kinds of things, 3x32x32 in [0, 1] (data folder).",
        implementation="seepage.data.sets.images:cifar10",
        reference="Krizhevsky, Learning multiple layers of features from tiny images",
        year=2009,
        parameters=(_SCALE,),
    ),
    Card(
        name="fashion-mnist",
        summary="Pictures of 10 kinds of clothes, 1x28x28 in [0, 1] (data folder).",
        implementation="seepage.data.sets.images:fashion_mnist",
        reference="Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for "
        "benchmarking machine learning algorithms, arXiv 1708.07747",
        year=2017,
        parameters=(_SCALE,),
    ),
)

CARDS = (*BUNDLED, *STORED)

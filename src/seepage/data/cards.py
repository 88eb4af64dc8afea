"""The bundled datasets: real data that comes with scikit-learn, so nothing is downloaded.

An implementation takes `scale` and returns a `seepage.data.dataset.Dataset`.
"""

from ..core.cards import Card, Parameter

_SCALE = Parameter(
    name="scale",
    default="auto",
    summary="`auto`, `unit`, `standard` or `none`, as in a plan's data.scale",
)

CARDS = (
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

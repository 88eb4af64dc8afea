"""The bundled models.

An implementation is a frozen dataclass of settings; calling it with the shape of one input
and the number of outputs makes a freshly initialized module.
"""

from ..core.cards import Card, Parameter

CARDS = (
    Card(
        name="logistic",
        summary="One linear layer on the flattened input: logistic or linear regression.",
        implementation="seepage.models.logistic:Logistic",
    ),
    Card(
        name="mlp",
        summary="Fully connected ReLU layers on the flattened input.",
        implementation="seepage.models.mlp:MLP",
        parameters=(
            Parameter(name="width", default=128, summary="units of each hidden layer, 1 or more"),
            Parameter(name="depth", default=1, summary="number of hidden layers, 1 or more"),
        ),
    ),
    Card(
        name="lenet",
        summary="The small LeNet of gradient inversion papers: three 5x5 convolutions, no pooling.",
        implementation="seepage.models.lenet:LeNet",
        reference="Zhu, Liu and Han, Deep Leakage from Gradients, NeurIPS 2019",
        year=2019,
        parameters=(Parameter(name="activation", default="relu", summary="`relu` or `sigmoid`"),),
    ),
    Card(
        name="convnet",
        summary="Three 3x3 convolution blocks with a choice of normalization, for 8 to 32 pixels.",
        implementation="seepage.models.convnet:ConvNet",
        parameters=(
            Parameter(name="norm", default="batch", summary="`batch`, `group` or `none`"),
            Parameter(
                name="width", default=32, summary="channels of the first block, doubled twice"
            ),
        ),
    ),
    Card(
        name="resnet20",
        summary="ResNet-20: nine residual blocks with parameter-free shortcuts, made for CIFAR.",
        implementation="seepage.models.resnet:ResNet20",
        reference="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, CVPR 2016",
        year=2016,
        parameters=(Parameter(name="norm", default="batch", summary="`batch` or `group`"),),
    ),
)

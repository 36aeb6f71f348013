"""What modules and optimizers print, beside PyTorch's."""

import re

import pytest

import ranvier.torch as ours

theirs = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:enable_nested_tensor")]

MODULES = """
LayerNorm(4)|LayerNorm(4, bias=False)|LayerNorm((2, 4), elementwise_affine=False)|RMSNorm(4)|RMSNorm(4, 1e-5, False)
GroupNorm(2, 4)|GroupNorm(2, 4, affine=False)|BatchNorm1d(3)|BatchNorm2d(3, affine=False)|BatchNorm3d(3, momentum=None)
InstanceNorm1d(3, affine=True)|InstanceNorm2d(3)|LocalResponseNorm(2)|CosineSimilarity()|PairwiseDistance(keepdim=True)
Conv2d(2, 2, 3, padding='same')|Conv1d(2, 2, 3, padding=1, padding_mode='circular')|Conv2d(4, 4, 3, 2, 1, 1, 2, False)
ConvTranspose2d(2, 2, 3, stride=2, output_padding=1, bias=False)|Linear(2, 3, False)|Bilinear(2, 3, 4)|Bilinear(2, 3, 4, False)
Upsample(scale_factor=2)|Upsample(scale_factor=(2, 3), mode='bilinear')|Upsample((3, 3))|UpsamplingBilinear2d(scale_factor=2)
ConstantPad1d(2, 1.5)|ZeroPad2d(1)|ReflectionPad2d((1, 2, 3, 4))|FractionalMaxPool2d(2, output_size=3)|MaxPool2d(2)|Unfold(2)
LSTM(2, 3, 2, batch_first=True, dropout=0.1, bidirectional=True)|GRUCell(2, 3)|Embedding(3, 2, 0, max_norm=1.0)
Sequential(BatchNorm2d(2), Conv2d(2, 2, 1))|ModuleList([Linear(1, 1), Linear(1, 1), ReLU(True)])|ModuleList()
ModuleDict({'a': ModuleList([Linear(1, 1)])})|Dropout2d()|Softplus()|GELU('tanh')|PReLU()|Threshold(0.1, 0.2)
"""


@pytest.mark.parametrize("code", "|".join(MODULES.split("\n")[1:-1]).split("|"))
def test_modules_print_as_in_pytorch(code):
    code = re.sub(r"([A-Z]\w+)\(", r"nn.\1(", code)
    expected, found = (eval(code, {"nn": t.nn}) for t in (theirs, ours))  # code of this file
    assert repr(found) == repr(expected)


def test_optimizers_print_a_paragraph_for_each_group():
    texts = []
    for t in (theirs, ours):
        a, b = t.nn.Parameter(t.zeros(1)), t.nn.Parameter(t.zeros(1))
        texts.append(
            repr(t.optim.SGD([{"params": [a]}, {"params": [b], "lr": 2.5}], lr=0.1, momentum=0.9)).splitlines()
        )
    extra = {"foreach", "fused", "differentiable"}  # of PyTorch alone
    expected, found = ([line.removesuffix(".0") for line in lines] for lines in texts)
    assert found == [line for line in expected if line.strip().split(":")[0] not in extra]

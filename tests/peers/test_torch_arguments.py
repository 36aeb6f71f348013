"""Lines of programs, with PyTorch's names of arguments and kinds of tensors: PyTorch makes the same of each, or refuses it."""

import functools

import numpy as np
import pytest
import torch as theirs

import ranvier.torch as ours

pytestmark = pytest.mark.peers

KINDS = """\
torch.Tensor(5).shape
torch.Tensor(3, 4).shape
torch.Tensor()
torch.Tensor([1, 2])
torch.Tensor(((1, 2), (3, 4)))
torch.Tensor([True, False])
torch.Tensor(np.arange(3))
torch.Tensor(torch.ones(2))
torch.Tensor(np.int64(3)).shape
torch.Tensor(2, 3, device='cpu').dtype == torch.float32
torch.Tensor(5.0)
torch.Tensor('a')
torch.LongTensor(2).shape
torch.FloatTensor()
nn.Parameter(torch.Tensor(3, 4).fill_(0.5))
i.type(torch.FloatTensor)
torch.Tensor.add(x, 1)
torch.Tensor.__name__
isinstance(x, torch.Tensor)
isinstance(w, torch.Tensor)
isinstance(nn.Parameter(x), torch.Tensor)
isinstance(x, nn.Parameter)
isinstance(3, torch.Tensor)
issubclass(nn.Parameter, torch.Tensor)
isinstance(x, torch.FloatTensor)
isinstance(x.double(), torch.FloatTensor)
isinstance(i, (torch.FloatTensor, torch.LongTensor))
type(x) == torch.Tensor
type(x) in (nn.Parameter, torch.Tensor)
type(nn.Parameter(x)) == torch.Tensor
{torch.Tensor: 1}[type(x)]
(torch.Tensor | None) is not None
hasattr(torch.Tensor, 'matmul')"""


def made(torch, line):
    """What a line gives, as plain values; "refused" where it raises."""
    x, i = torch.tensor([[-1.0, 2.0], [3.0, 5.0]]), torch.tensor([[1, 2], [0, 3]])
    known = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np, "x": x, "i": i}
    try:
        return plain(eval(line, known, {"w": torch.ones(2, 2, requires_grad=True)}))
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
        return "refused"


def plain(value):
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if not hasattr(value, "detach"):
        return value
    array = np.asarray(value.detach().numpy())
    return array.dtype.kind, array.shape, np.round(array.astype(float), 5).tolist()


@pytest.mark.parametrize("line", KINDS.splitlines())
def test_kinds_of_tensors(line):
    assert made(ours, line) == made(theirs, line)


@pytest.mark.parametrize("torch", [theirs, ours], ids=["theirs", "ours"])
def test_what_is_chosen_by_the_kind_of_tensors(torch):
    @functools.singledispatch
    def kind(value):
        return "another"

    kind.register(torch.Tensor, lambda value: "a tensor")
    assert [kind(v) for v in (torch.ones(2), torch.nn.Parameter(torch.ones(2)), 3)] == ["a tensor"] * 2 + [
        "another"
    ]
    match torch.ones(2):
        case torch.Tensor():
            pass
        case _:
            pytest.fail("no tensor")

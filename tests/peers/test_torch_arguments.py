"""Lines of programs, with PyTorch's names of arguments and kinds of tensors: PyTorch makes the same of each, or refuses it."""

import functools
import inspect
import re

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


ARGUMENTS = """\
torch.exp(input=x)
torch.sigmoid(input=x)
torch.tanh(input=x)
torch.log(input=x.abs())
torch.abs(input=x)
torch.sqrt(input=x.abs())
torch.flatten(input=x, start_dim=0)
torch.mm(input=x, mat2=x)
torch.bmm(input=x[None], mat2=x[None])
torch.mul(input=x, other=x)
torch.add(input=x, other=x, alpha=2)
torch.sub(input=x, other=x)
torch.div(x, 2, rounding_mode='floor')
torch.div(i, 2, rounding_mode='trunc')
x.div(2, rounding_mode='floor')
torch.pow(input=x, exponent=2)
x.pow(exponent=2)
torch.eq(input=x, other=x)
torch.gt(x, other=0)
x.eq(other=x)
torch.maximum(input=x, other=x)
torch.matmul(input=x, other=x)
torch.sort(x, dim=1, stable=True)[0]
torch.nonzero(x>0, as_tuple=True)
torch.nonzero(input=x>0, as_tuple=False)
(x>0).nonzero(as_tuple=True)
x.permute(dims=(1,0))
x.transpose(dim0=0, dim1=1)
torch.transpose(x, dim0=0, dim1=1)
torch.transpose(input=x, dim0=0, dim1=1)
torch.permute(x, dims=(1,0))
torch.flip(x, dims=[0])
torch.flip(x, dims=(0,))
x.flip(dims=[0])
x.flip(dims=(0,))
x.expand(size=(2,2,2))
x.repeat(repeats=(2,1))
x.view(2,2).reshape(shape=(4,))
F.linear(input=x, weight=w, bias=None)
F.embedding(i%2, w, padding_idx=0)
F.tanh(input=x)
F.relu(input=x)
F.softmax(input=x, dim=1)
F.cross_entropy(input=x, target=i[:,0]%2)
torch.repeat_interleave(x, repeats=2, dim=0)
torch.unsqueeze(input=x, dim=0)
torch.squeeze(input=x, dim=0)
torch.isnan(input=x)
torch.sign(input=x)
torch.cos(input=x)
x.copy_(x*2, non_blocking=True)
x.type(torch.float32, non_blocking=True)
x.numpy(force=True).tolist()
torch.logical_and(input=x>0, other=x<3)
torch.diff(x, dim=1, prepend=torch.zeros(2,1))
torch.searchsorted(torch.tensor([1.,2.]), torch.tensor([1.]), side='right')
F.mse_loss(x, x*2, weight=torch.ones(2,2))
torch.tensor(data=[1.,2.])
torch.argmax(input=x, dim=1)
torch.mean(input=x, dim=1)
torch.max(input=x, dim=1)[0]
torch.sum(x, axis=1)
torch.cumsum(input=x, dim=0)
torch.topk(input=x, k=1, dim=1)[0]
torch.index_select(input=x, dim=0, index=torch.tensor([0]))
torch.chunk(input=x, chunks=2, dim=0)[0]
torch.split(x, split_size_or_sections=1, dim=0)[0]
torch.bernoulli(input=torch.ones(2))
torch.norm(input=x, p=2)
torch.einsum('ij,jk->ik', x, x)
torch.einsum('ij,jk->ik', [x, x])
torch.tril(input=x, diagonal=0)
torch.dot(input=x[0], tensor=x[1])
torch.roll(x, shifts=1, dims=0)
torch.masked_fill(x, mask=x>0, value=0.)
x.masked_fill(mask=x>0, value=0.)
x.clamp(min=0.)
x.clip(min=0., max=1.)
x.clip(0., 1.)
torch.clip(x, min=0.)
x.tile(dims=(2,1))
x.swapaxes(axis0=0, axis1=1)
x.squeeze_(dim=0)
x.unsqueeze_(dim=0)
torch.exp(x=x)
torch.mul(input=x, other=2)
torch.multiply(x, other=x)
torch.floor_divide(input=i, other=2)
torch.minimum(input=x, other=x * 2)
torch.mv(input=x, vec=x[0])
torch.addmv(x[0], mat=x, vec=x[1])
torch.baddbmm(x[None], batch1=x[None], batch2=x[None])
torch.logical_or(input=x > 0, other=x < 3)
torch.logical_not(input=x > 0)
torch.div(x, 2, rounding_mode='trunc')
torch.div(i - 2, 2, rounding_mode='floor')
torch.div(x, 2, rounding_mode='up')
x.div_(2, rounding_mode='floor')
x.divide(other=2)
x.mul_(other=2)
x.pow_(exponent=2)
x.clamp_(min=0.5)
x.clip_(max=0.5)
x.clip_(0, 1)
x.clamp_min(min=0.5)
x.clamp_max_(max=0.5)
x.view(size=(4,))
x.permute(1, 0)
x.permute((1, 0))
x.permute()
x.expand(3, -1, -1)
x.expand(sizes=(2, 2))
x.view(4, size=(4,))
x.flip(0, 1)
x.flip((0,))
x.flip([1])
x.tile((2,))
x.broadcast_to(size=(1, 2, 2))
x.split(split_size=1, dim=1)
x.sum(axis=1, keepdims=True)
torch.sum(x, axis=0, keepdims=True)
torch.mean(x, axis=0)
torch.max(x, axis=1)
torch.argmax(x, axis=1)
torch.cat([x, x], axis=1)
torch.stack([x, x], axis=1)
torch.concatenate([x, x], axis=1)
torch.softmax(x, axis=1)
torch.softmax(x)
F.softmax(x, 1)
F.log_softmax(x, dim=0, dtype=torch.float64)
F.linear(x, w, bias=x[0])
F.sigmoid(input=x)
F.logsigmoid(input=x)
F.softsign(input=x)
F.celu(x, 0.5, True)
F.l1_loss(x, x * 2, weight=x + 2)
F.huber_loss(x, x * 3, weight=x + 2, reduction='sum')
F.mse_loss(x, x * 2, reduction='none', weight=x)
F.mse_loss(x, x * 2, weight=x[0])
F.embedding(i % 2, w, 1, max_norm=None)
torch.zeros(size=(2, 3))
torch.ones(size=(2,), dtype=torch.int32)
torch.empty(size=[2, 2]).shape
torch.rand(size=(2, 2)).shape
torch.randn(size=(2, 2), layout=torch.strided, pin_memory=False).shape
torch.zeros_like(x, memory_format=torch.preserve_format)
torch.ones_like(input=x, layout=torch.strided)
torch.empty_like(x, memory_format=torch.contiguous_format).shape
torch.full_like(x, 2.0, memory_format=torch.preserve_format)
torch.rand_like(x, memory_format=torch.preserve_format).shape
torch.full(size=(2,), fill_value=1.5)
x.layout == torch.strided
torch.asarray(obj=[1.0], copy=True)
torch.is_tensor(x)
torch.argsort(x, dim=1, stable=True)
x.sort(dim=1, descending=True, stable=True)
(x > 0).nonzero(as_tuple=True)
torch.nonzero(x[0] > 0, as_tuple=True)
torch.diff(x, dim=0, prepend=x[:1] * 3, append=x[1:])
torch.searchsorted(torch.tensor([[1.0, 2.0, 4.0], [0.0, 3.0, 5.0]]), x, side='right')
torch.searchsorted(torch.tensor([[1.0, 2.0, 4.0], [0.0, 3.0, 5.0]]), x[0])
torch.searchsorted(torch.tensor([3.0, 1.0]), x, sorter=torch.tensor([1, 0]))
torch.searchsorted(torch.tensor([1.0]), x, right=True, side='left')
torch.bucketize(x, torch.tensor([0.0, 2.0]), out_int32=True, right=True)
torch.isin(i, i[0], assume_unique=False)
torch.squeeze(x[:, :1], dim=(0, 1))
torch.bmm(x, x)
torch.repeat_interleave(x, 2, dim=0, output_size=4)
x.copy_(other=x * 2)
torch.sinc(x / 3)
torch.sinc(torch.zeros(2))
torch.block_diag(x, x[0], torch.tensor(3.0))
torch.ger(x[0], vec2=x[1])
x[0].ger(x[1])
torch.dropout(x, 0.5, False)
torch.embedding(x, i[0])
torch.threshold(x, 0.5, -1.0)
str(torch.get_default_device())
torch.set_default_device('cpu')
nn.Parameter(i)
nn.Parameter(i, requires_grad=False)
torch.tensor([1, 2], requires_grad=True)
torch.tensor([1]).requires_grad_()
torch.tensor([1]).requires_grad_(False)
x.type(torch.float64, non_blocking=True)
w.detach().numpy(force=True).shape"""


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


@pytest.mark.parametrize("line", ARGUMENTS.splitlines())
def test_arguments_by_name(line):
    assert made(ours, line) == made(theirs, line)


LEFT_OUT = {  # arguments, where there is nothing to choose or what they choose is not there; and slips of PyTorch's own pages
    "cdist": {"compute_mode"}, "cov": {"fweights", "aweights"}, "fill_diagonal_": {"wrap"}, "gather": {"sparse_grad"},
    "load": {"pickle_module", "mmap"}, "save": {"pickle_module", "pickle_protocol"}, "from_numpy": {"ndarray"},
    "unique_consecutive": {"dim"}, "set_default_dtype": {"d"}, "broadcast_to": {"shape"}, "dot": {"other"},
    "true_divide": {"dividend", "divisor", "value"}, "div": {"value"}, "divide": {"value"}, "mul": {"value"},
    "multiply": {"value"}, "floor_divide": {"value"}, "fmod": {"divisor"}, "remainder": {"divisor"}, "bmm": {"batch2"},
    "copy_": {"src"}, "index_copy": {"tensor2", "tensor"}, "matmul": {"tensor2"}, "narrow": {"dimension"}, "take": {"indices"}, "where": {"y"},
    "to": {"tensor"}, "masked_scatter": {"tensor"}, "arctanh_": {"other"}, "atanh_": {"other"},
}  # fmt: skip
EVERYWHERE = {  # what functions that make tensors, and losses of old, have besides
    "out", "names", "generator", "device", "dtype", "requires_grad", "layout", "pin_memory", "memory_format", "args",
    "kwargs", "self", "size_average", "reduce",
}  # fmt: skip


def wanted(function):
    """The names of a function's arguments: from its signature, or from the first line of its page."""
    try:
        return {p.name for p in inspect.signature(function).parameters.values() if p.kind not in (2, 4)}
    except ValueError:
        head = re.match(r"[\w.]+\((.*?)\)\s*->", (function.__doc__ or "").strip())
        return (
            set(re.findall(r"(?:^|, )(?:[A-Z]\w* )?([a-z]\w*)(?==|,|$)", head.group(1).replace("*, ", "")))
            if head
            else set()
        )


@pytest.mark.parametrize("space", ["", "nn.functional", "Tensor", "nn.init"])
def test_no_argument_is_missing(space):
    mine, other = ours, theirs
    for part in filter(None, space.split(".")):
        mine, other = getattr(mine, part), getattr(other, part)
    missing = {}
    for name in dir(mine):
        function, peer = getattr(mine, name), getattr(other, name, None)
        if name.startswith("_") or not callable(peer) or not callable(function) or inspect.isclass(peer):
            continue
        known = inspect.signature(function).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            missing[name] = (
                {n for n in wanted(peer) if n[0] != "_"}
                - set(known)
                - EVERYWHERE
                - LEFT_OUT.get(name, LEFT_OUT.get(name.rstrip("_"), set()))
            )
    assert not {name: some for name, some in missing.items() if some}


@pytest.mark.parametrize("torch", [theirs, ours], ids=["theirs", "ours"])
def test_what_is_chosen_by_the_kind_of_tensors(torch):
    @functools.singledispatch
    def kind(value):
        return "another"

    kind.register(torch.Tensor, lambda value: "a tensor")
    assert [kind(v) for v in (torch.ones(2), torch.nn.Parameter(torch.ones(2)), 3)] == ["a tensor"] * 2 + ["another"]
    match torch.ones(2):
        case torch.Tensor():
            pass
        case _:
            pytest.fail("no tensor")

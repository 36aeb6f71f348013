"""ResNet and MobileNetV2 for photographs, with torchvision's names of weights, so that its checkpoints fit them.

Images are (batch, channels, height, width), as in PyTorch, and the outputs are logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ranvier.torch as torch
from ranvier.layers.base import whole
from ranvier.module import Module, Sequential, register_module
from ranvier.torch import nn

# (expansion, filters, blocks, stride of the first block): table 2 of the paper.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def _conv(channels: int, filters: int, size: int, stride: int = 1, groups: int = 1) -> Any:
    """A convolution without bias that keeps the size of the image, or divides it by ``stride``."""
    layer = nn.Conv2d(channels, filters, size, stride, size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


@register_module(name="models.BasicBlock")
class BasicBlock(Module):
    """``relu(x + f(x))``, f two 3x3 convolutions with batch normalization (He et al., 2016).

    Where the shape changes, ``downsample`` is a 1x1 convolution of x with batch normalization.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, filters, 3, stride), nn.BatchNorm2d(filters)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = _conv(filters, filters, 3), nn.BatchNorm2d(filters)
        self.downsample: Any = None
        if stride != 1 or channels != filters:
            self.downsample = Sequential(_conv(channels, filters, 1, stride), nn.BatchNorm2d(filters))

    def forward(self, x: Any) -> Any:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(y + shortcut)


@register_module(name="models.ResNet")
class ResNet(Module):
    """The residual network of He et al. (2016, table 1): a 7x7 convolution, and four stages of `BasicBlock`.

    ``blocks`` are those of each stage. Images are (batch, 3, height, width), of 32 pixels and more; 224 in the paper.
    """

    def __init__(self, blocks: Sequence[int], num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(blocks):
            filters = 64 * 2**stage
            parts = [BasicBlock(channels, filters, 2 if stage else 1)]
            parts += [BasicBlock(filters, filters) for _ in range(count - 1)]
            setattr(self, f"layer{stage + 1}", Sequential(*parts))
            channels = filters
        self.stages = len(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, whole(num_classes, "num_classes", self.name))

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(num_classes: int = 1000) -> ResNet:
    """ResNet-18 (11.7 million parameters), with torchvision's names of weights: see `ResNet`.

    >>> net = rv.models.resnet18()
    >>> net.load_state_dict(ranvier.torch.load('resnet18.pth'))
    """
    return ResNet((2, 2, 2, 2), num_classes)


def resnet34(num_classes: int = 1000) -> ResNet:
    """ResNet-34 (21.8 million parameters), with torchvision's names of weights: see `ResNet`."""
    return ResNet((3, 4, 6, 3), num_classes)


def _normalized(channels: int, filters: int, size: int, stride: int = 1, groups: int = 1) -> Sequential:
    return Sequential(_conv(channels, filters, size, stride, groups), nn.BatchNorm2d(filters), nn.ReLU6())


@register_module(name="models.InvertedBlock")
class InvertedBlock(Module):
    """A 1x1 convolution to ``expansion`` times the channels, a depthwise 3x3 one, and a 1x1 one without activation.

    Where the shapes are equal, the inputs are added (Sandler et al., 2018).
    """

    def __init__(self, channels: int, filters: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        wide = channels * expansion
        parts: list[Any] = [_normalized(channels, wide, 1)] if expansion > 1 else []
        parts += [_normalized(wide, wide, 3, stride, wide), _conv(wide, filters, 1), nn.BatchNorm2d(filters)]
        self.conv = Sequential(*parts)
        self.adds = stride == 1 and channels == filters

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


@register_module(name="models.MobileNetV2")
class MobileNetV2(Module):
    """MobileNetV2 (Sandler et al., 2018): blocks with depthwise convolutions. 3.5 million parameters.

    Images are (batch, 3, height, width), of 32 pixels and more; 224 in the paper. ``width_mult`` multiplies all numbers
    of filters, which are rounded to multiples of 8; ``dropout`` is before the last layer.
    """

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        if not width_mult > 0:
            raise ValueError(f"MobileNetV2 has width_mult={width_mult!r}. Write a number above 0, such as 0.5.")
        channels = _of_eight(32 * width_mult)
        last = _of_eight(1280 * max(1.0, width_mult))
        parts: list[Any] = [_normalized(3, channels, 3, 2)]
        for expansion, count, blocks, stride in STAGES:
            filters = _of_eight(count * width_mult)
            for block in range(blocks):
                parts.append(InvertedBlock(channels, filters, 1 if block else stride, expansion))
                channels = filters
        self.features = Sequential(*parts, _normalized(channels, last, 1))
        head: Any = nn.Linear(last, whole(num_classes, "num_classes", self.name))
        nn.init.normal_(head.weight, 0.0, 0.01)
        nn.init.zeros_(head.bias)
        self.classifier = Sequential(nn.Dropout(dropout), head)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean((2, 3)))


def _of_eight(filters: float) -> int:
    """The multiple of 8 next to a number, and not more than a tenth below it."""
    near = max(8, int(filters + 4) // 8 * 8)
    return near + 8 if near < 0.9 * filters else near


def mobilenet_v2(num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2) -> MobileNetV2:
    """`MobileNetV2`, with torchvision's names of weights.

    >>> net = rv.models.mobilenet_v2()
    >>> net.load_state_dict(ranvier.torch.load('mobilenet_v2.pth'))
    """
    return MobileNetV2(num_classes, width_mult, dropout)

"""The layer tables of other networks, each with its source; :mod:`rasca_nn.peers` counts them."""

from __future__ import annotations

from math import prod

from rasca_nn.peers import Layer, Peer, Printed, Table

SUPPLEMENT = "RaScaNet's supplement, CVPR 2021"

MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repeats and first stride (arXiv 1801.04381, table 2)."""


def _channels(full: int, width: float) -> int:
    """Channels at a width multiplier: a multiple of 8 and not below 90 % (tensorflow/models, slim/nets/mobilenet)."""
    value = full * width
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def _blocks(table: Table, settings: tuple[tuple[int, int, int, int], ...], width: float) -> None:
    for expansion, channels, repeats, first_stride in settings:
        for i in range(repeats):
            stride = first_stride if i == 0 else 1
            table.block(_channels(channels, width), expansion * table.shape[0], stride=stride)


def mobilenet_v2(
    height: int, width: int, *, multiplier: float = 0.35, stem: int | None = None, classes: int = 2
) -> tuple[Layer, ...]:
    """MobileNetV2's layers for an input of that size; ``stem`` replaces the channels of the first convolution."""
    table = Table(height, width)
    table.conv("conv1", stem or _channels(32, multiplier), 3, 2)
    _blocks(table, MOBILENET_V2, multiplier)
    # A multiplier below 1 leaves the last convolution as it is.
    table.conv("conv_last", _channels(1280, max(1.0, multiplier)))
    table.average()
    table.linear(classes)
    return tuple(table.layers)


def _rnnpool(*, patches: bool) -> tuple[Layer, ...]:
    """MobileNetV2-RNNPool for Visual Wake Words: 6x6 patches every 4 pixels, hidden sizes 8 and 8, width 0.35.

    With ``patches`` the first convolution is computed for one patch at a time, from an image that is not held.
    """
    side, patch, stride, hidden = 112, 6, 4, 8
    out = (side - patch) // stride + 1
    table = Table(224, 224)
    table.conv("conv1", 8, 3, 2)
    # A FastGRNN cell: two matrices, two biases, two scalars (arXiv 1901.02358). The first runs along the patch's rows
    # and columns, the second both ways over their last states, on rows and columns each.
    cell = 2 * hidden * hidden
    runs = 2 * patch * patch + 2 * 2 * patch
    pool = Layer("rnnpool", table.shape, (4 * hidden, out, out), 2 * (cell + 2 * hidden + 2), cell * runs * out * out)
    table.add(pool)
    if patches:
        conv = table.layers[0]
        # The 6x6 patch reads 13x13 pixels of the image.
        held = 3 * (2 * patch + 1) ** 2 + conv.outputs[0] * patch**2 + prod(pool.outputs)
        macs = conv.macs * (out * patch) ** 2 // side**2
        weights = conv.weights + pool.weights
        table.layers = [Layer("conv1+rnnpool", conv.inputs, pool.outputs, weights, macs + pool.macs, held=held)]
    # One row and column are repeated.
    table.shape = (4 * hidden, out + 1, out + 1)
    _blocks(table, ((6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)), 0.35)
    table.conv("conv_last", 320)
    table.average()
    table.linear(2)
    return tuple(table.layers)


def _mcunet(resolution: int, stem: int, blocks: str) -> tuple[Layer, ...]:
    """``blocks``: channels, kernel, stride and expanded channels of each, as in "16k5s2e64"."""
    table = Table(resolution, resolution)
    table.conv("conv1", stem, 3, 2)
    for block in blocks.split():
        channels, rest = block.split("k")
        kernel, rest = rest.split("s")
        stride, expanded = rest.split("e")
        table.block(int(channels), int(expanded), int(kernel), int(stride))
    table.average()
    table.linear(1000)
    return tuple(table.layers)


MCUNETS = {
    "mcunet-10fps": (
        48,
        24,
        "16k3s1e24 16k5s2e64 16k3s1e48 16k3s1e64 24k7s2e80 24k5s1e96 24k5s1e120 48k7s2e120 48k5s1e192 56k3s1e240 "
        "56k5s1e224 56k3s1e280 112k3s2e336 112k5s1e448 192k3s1e672",
    ),
    "mcunet-5fps": (
        96,
        16,
        "8k3s1e16 16k3s2e32 16k3s1e48 24k7s2e48 24k3s1e120 40k3s2e120 40k7s1e160 48k5s1e160 48k3s1e144 48k3s1e192 "
        "96k7s2e240 96k5s1e384 96k5s1e384 160k3s1e576",
    ),
    "mcunet-320kB": (
        176,
        16,
        "8k3s1e16 16k7s2e24 16k3s1e80 16k7s1e80 16k5s1e64 24k5s2e80 24k5s1e120 24k5s1e120 40k3s2e120 40k7s1e240 "
        "40k5s1e160 48k5s1e200 48k7s1e240 48k3s1e240 96k3s2e288 96k7s1e480 96k3s1e384 160k7s1e480",
    ),
}
"""Input size, channels of the first convolution, blocks (ImageNet)."""

_MCUNET_PRINTED = {
    "mcunet-10fps": (6.4, 0.75, 266),
    "mcunet-5fps": (12.8, 0.64, 307),
    "mcunet-320kB": (81.8, 0.74, 293),
}
"""M multiply-accumulates, M parameters, kB SRAM."""


def _mcunet_peer(name: str) -> Peer:
    readme = "README of github.com/mit-han-lab/mcunet"
    macs, parameters, memory = _MCUNET_PRINTED[name]
    return Peer(
        name=f"{name}, ImageNet",
        source="github.com/mit-han-lab/tinyml, mcunet/assets/configs/*_imagenet.json; arXiv 2007.10319",
        layers=_mcunet(*MCUNETS[name]),
        printed=(
            Printed("MACs", macs, "M", readme, "macs"),
            Printed("parameters", parameters, "M", readme, "weights"),
            Printed("SRAM, measured with TinyEngine", memory, "KB", readme, "peak_in_place"),
        ),
        missing=("what the measured SRAM holds beside the activations counted here",),
    )


def peers() -> tuple[Peer, ...]:
    """Every network compared with, in the order of the tables."""
    v2 = "arXiv 1801.04381, table 2; channels rounded as in github.com/tensorflow/models, research/slim/nets/mobilenet"
    slim = "README of slim/nets/mobilenet"
    edgeml = "github.com/microsoft/EdgeML, examples/pytorch/vision/Visual_Wakeword; arXiv 2002.11921"
    abstract = "abstract of arXiv 2408.03663"
    return (
        Peer(
            name="MobileNetV2 0.35",
            source=f"{v2}, but the first convolution has 8",
            layers=mobilenet_v2(224, 224, stem=8),
            printed=(
                Printed("peak, layer by layer", 752.64, "KB", f"{SUPPLEMENT}, table 2", "peak"),
                Printed("peak, split in 6", 250, "KB", f"{SUPPLEMENT}, 1.2, from arXiv 1906.05721", "peak_split"),
            ),
            notes=(
                "the 250 KB printed come out with a first convolution of 8 channels: 32 x 0.35 = 11.2, rounded to the "
                "nearest multiple of 8",
                "the supplement says that the first convolution sets the 250 KB; block 2, split in 6, needs as much",
                "table 2 prints the depthwise weights as 48 x 48 x 3 x 3; a depthwise convolution has 48 x 1 x 3 x 3",
            ),
        ),
        Peer(
            name="MobileNetV2 0.35, first conv 16",
            source=v2,
            layers=mobilenet_v2(224, 224, classes=1001),
            printed=(
                Printed("MACs", 59, "M", slim, "macs"),
                Printed("parameters", 1.66, "M", slim, "weights"),
                Printed("peak, split in 6", 250, "KB", f"{SUPPLEMENT}, 1.2, from arXiv 1906.05721", "peak_split"),
            ),
            notes=(
                "the published code rounds the 11.2 channels up to 16, as 8 is below 90 % of them; then the first "
                "convolution alone holds 351 KB, and the 250 KB printed are out of reach",
                "with 1001 classes, as printed; the 1.66 M leave out the batch norms",
            ),
        ),
        Peer(
            name="RNNPool, whole layers",
            source=f"{edgeml}: model_mobilenet_rnnpool.py with the width 0.35 and last_channel 320 of eval.py",
            layers=_rnnpool(patches=False),
        ),
        Peer(
            name="RNNPool, patch by patch",
            source=edgeml,
            layers=_rnnpool(patches=True),
            printed=(
                Printed(
                    "peak, split: 4.2 x 7.92 KB",
                    33.3,
                    "KB",
                    "RaScaNet, CVPR 2021, 4.1 (derived)",
                    "peak_split_by_channel",
                ),
            ),
            notes=(
                "the image is not held: of 13 x 13 of its pixels at a time the first convolution is computed, and the "
                "pooled values are kept",
            ),
            missing=(
                "how the 33.3 KB are made up; counted beside it is the least the split trick reaches",
                "RNNPool's own layer table and memory figures: only its abstract and the published code were at hand",
            ),
        ),
        *(_mcunet_peer(name) for name in MCUNETS),
        Peer(
            name="MCUNet, Visual Wake Words",
            source="README of github.com/mit-han-lab/mcunet",
            printed=tuple(
                Printed(f"{what}, {name}", figure, unit, "README of github.com/mit-han-lab/mcunet")
                for name, *figures in (("10fps", 6.0, 0.37, 146), ("5fps", 11.6, 0.43, 162), ("320kB", 55.8, 0.64, 311))
                for what, unit, figure in zip(("MACs", "parameters", "SRAM"), ("M", "M", "KB"), figures, strict=True)
            ),
            missing=("its layers: only on the authors' server, not in their repositories",),
        ),
        Peer(
            name="MobileNetV2 1.0, ImageNet",
            source=v2,
            layers=mobilenet_v2(224, 224, multiplier=1.0, classes=1001),
            printed=(
                Printed("MACs", 300, "M", slim, "macs"),
                Printed("parameters", 3.47, "M", slim, "weights"),
                Printed("memory of MobileNet", 5600, "KB", abstract, "peak_in_place"),
            ),
            notes=(
                "the 3.47 M leave out the batch norms",
                "5.6 MB are four bytes a value of what 'in place' counts: that paper may count float32; its abstract "
                "does not say",
            ),
        ),
        Peer(
            name="63 KB network, ImageNet",
            source=abstract,
            printed=(
                Printed("memory", 63, "KB", abstract),
                Printed("memory of MCUNet", 196, "KB", abstract),
            ),
            missing=(
                "its layers: size, number and overlap of the patches (input segmentation), blocks and channels of the "
                "paths through the network (patch tunnelling), the order inside a block (bottleneck reordering)",
                "bytes a value; weights; multiply-accumulates; which MCUNet has 196 KB",
            ),
        ),
    )

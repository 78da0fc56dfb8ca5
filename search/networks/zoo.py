"""Networks that ship with fewbits, as Keras 3 writes functional models to JSON. Plain; nothing loads Keras.

The four ConvBlock networks are those of the AutoQKeras notebook (google/qkeras, notebook/AutoQKeras.ipynb);
the jet tagger is the 16-64-32-32-5 network of Duarte et al., "Fast inference of deep neural networks in FPGAs
for particle physics" (arXiv 1804.06913). Activations are separate layers, so that each gets a quantizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from search.networks.builder import INPUT_NAME, Chain, Config, dense, initializer

Separable = Literal["no", "dsp", "mobilenet"]

# --- ConvBlock networks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ConvBlocks:
    """How the blocks of a ConvBlock network are built; the fields are `conv_block_network`'s."""

    kernel_size: int
    dropout_rate: float
    with_maxpooling: bool
    with_batchnorm: bool
    kernel_initializer: str
    bias_initializer: str
    use_separable: Separable
    use_xnornet_trick: bool
    batchnorm_momentum: float

    def block(self, chain: Chain, index: int, filters: Sequence[int]) -> None:
        """A block: its convolutions, then pooling, then dropout."""
        for position, width in enumerate(filters):
            suffix = f"{index}_{position}" if len(filters) > 1 else f"{index}"
            self._convolution(chain, suffix, width, last=position == len(filters) - 1)
        if self.dropout_rate > 0:
            chain.add("Dropout", f"drop_{suffix}", rate=self.dropout_rate)

    def _convolution(self, chain: Chain, suffix: str, width: int, *, last: bool) -> None:
        """One entry of `filters`: a convolution, or the pair of them a separable one consists of."""
        size = self.kernel_size
        pooled = last and self.with_maxpooling
        stride = 2 if last and not self.with_maxpooling else 1
        if self.use_separable == "dsp":
            self._conv2d(chain, f"1{size}_{suffix}", (1, size), width)
            self._normalized(chain, f"1{size}_{suffix}")
            kernel, label = (size, 1), f"{size}1_{suffix}"
        elif self.use_separable == "mobilenet":
            self._depthwise(chain, f"{size}{size}_{suffix}")
            kernel, label = (1, 1), f"11_{suffix}"
        else:
            kernel, label = (size, size), suffix
        self._conv2d(chain, label, kernel, width, stride)
        after_pooling = pooled and self.use_xnornet_trick
        if not after_pooling:
            self._normalized(chain, label)
        if pooled:
            self._pool(chain, f"mp_{suffix}")
        if after_pooling:
            self._normalized(chain, suffix, prefix="mp_")

    def _conv2d(self, chain: Chain, label: str, kernel: tuple[int, int], width: int, stride: int = 1) -> None:
        height, columns, _ = chain.shape
        chain.add(
            "Conv2D",
            f"conv2d_{label}",
            (math.ceil(height / stride), math.ceil(columns / stride), width),
            filters=width,
            kernel_size=list(kernel),
            strides=[stride, stride],
            padding="same",
            activation="linear",
            use_bias=not self.with_batchnorm,
            kernel_initializer=initializer(self.kernel_initializer),
            bias_initializer=initializer(self.bias_initializer),
        )

    def _depthwise(self, chain: Chain, label: str) -> None:
        chain.add(
            "DepthwiseConv2D",
            f"conv2d_dw_{label}",
            depth_multiplier=1,
            kernel_size=[self.kernel_size, self.kernel_size],
            strides=[1, 1],
            padding="same",
            activation="linear",
            use_bias=not self.with_batchnorm,
            depthwise_initializer=initializer(self.kernel_initializer),
            bias_initializer=initializer(self.bias_initializer),
        )
        self._normalized(chain, label, prefix="conv2d_dw_")

    def _normalized(self, chain: Chain, label: str, prefix: str = "") -> None:
        if self.with_batchnorm:
            chain.add("BatchNormalization", f"{prefix}bn_{label}", momentum=self.batchnorm_momentum)
        chain.add("Activation", f"{prefix}act_{label}", activation="relu")

    def _pool(self, chain: Chain, name: str) -> None:
        height, columns, channels = chain.shape
        if min(height, columns) < 2:
            raise ValueError(
                f"{name}: nothing is left to pool of {height}x{columns} pixels; use fewer blocks"
            )
        shape = (height // 2, columns // 2, channels)
        chain.add("MaxPooling2D", name, shape, pool_size=[2, 2], strides=[2, 2], padding="valid")


def conv_block_network(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    kernel_size: int,
    filters: Sequence[int | Sequence[int]],
    *,
    dropout_rate: float = 0.0,
    with_maxpooling: bool = True,
    with_batchnorm: bool = True,
    kernel_initializer: str = "he_normal",
    bias_initializer: str = "zeros",
    use_separable: Separable = "no",
    use_xnornet_trick: bool = False,
    batchnorm_momentum: float = 0.99,
) -> Config:
    """A stack of convolutional blocks, a layer of classes named `dense` and a softmax named `softmax`.

    Where the blocks leave a single pixel `dense` is a 1x1 convolution, and a Flatten follows the softmax.

    `shape` is (height, width, channels). Each entry of `filters` is a block: a number is one convolution, a
    list as many as it is long. A block ends in 2x2 max-pooling, or without pooling in a stride of 2. `dsp`
    splits each convolution into 1xk and kx1, `mobilenet` into a depthwise kxk and a 1x1. With the XNOR-Net
    trick (Rastegari et al., arXiv 1603.05279) a block's last normalization and activation follow its pooling.
    Convolutions that are normalized have no bias. Raises ValueError for an unknown initializer, and for more
    pooling than pixels.
    """
    blocks = _ConvBlocks(
        kernel_size=kernel_size,
        dropout_rate=dropout_rate,
        with_maxpooling=with_maxpooling,
        with_batchnorm=with_batchnorm,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        use_separable=use_separable,
        use_xnornet_trick=use_xnornet_trick,
        batchnorm_momentum=batchnorm_momentum,
    )
    chain = Chain(name, shape)
    for index, entry in enumerate(filters):
        blocks.block(chain, index, [entry] if isinstance(entry, int) else entry)
    _head(chain, classes)
    return chain.model()


def _head(chain: Chain, classes: int) -> None:
    """Classes from what the blocks leave: by a Dense layer, or by a 1x1 convolution where that is one pixel."""
    if max(chain.shape[:2]) > 1:
        chain.add("Flatten", "flatten", (math.prod(chain.shape),))
        dense(chain, "dense", classes)
        chain.add("Activation", "softmax", activation="softmax")
        return
    chain.add(
        "Conv2D",
        "dense",
        (1, 1, classes),
        filters=classes,
        kernel_size=[1, 1],
        strides=[1, 1],
        padding="same",
        activation="linear",
        use_bias=True,
        kernel_initializer=initializer("glorot_uniform"),
        bias_initializer=initializer("zeros"),
    )
    chain.add("Activation", "softmax", activation="softmax")
    chain.add("Flatten", "flatten", (classes,))


def _mobilenet(name: str, shape: tuple[int, int, int], classes: int, blocks: Sequence[int]) -> Config:
    """The notebook's pattern for colour images: one convolution of 16, then blocks of three."""
    return conv_block_network(
        name,
        shape,
        classes,
        kernel_size=3,
        filters=[16, *([width] * 3 for width in blocks)],
        dropout_rate=0.2,
        use_separable="mobilenet",
        use_xnornet_trick=True,
    )


# --- the networks -------------------------------------------------------------------------------------------


def mnist_convblock() -> Config:
    """The notebook's network for MNIST: 122,394 parameters."""
    return conv_block_network(
        "mnist_convblock",
        (28, 28, 1),
        10,
        kernel_size=3,
        filters=(16, 32, 48, 64, 128),
        dropout_rate=0.2,
        with_maxpooling=False,
        kernel_initializer="he_uniform",
    )


def fashion_mnist_convblock() -> Config:
    """The notebook's network for Fashion-MNIST."""
    return _mobilenet("fashion_mnist_convblock", (28, 28, 1), 10, (32, 64))


def cifar10_convblock() -> Config:
    """The notebook's network for CIFAR-10."""
    return _mobilenet("cifar10_convblock", (32, 32, 3), 10, (32, 64, 128))


def cifar100_convblock() -> Config:
    """The notebook's network for CIFAR-100."""
    return _mobilenet("cifar100_convblock", (32, 32, 3), 100, (32, 64, 128, 256))


def jet_mlp() -> Config:
    """The 16-64-32-32-5 jet tagger: 4,389 parameters."""
    chain = Chain("jet_mlp", (16,))
    for index, units in enumerate((64, 32, 32), start=1):
        dense(chain, f"fc{index}", units, "he_normal")
        chain.add("Activation", f"relu{index}", activation="relu")
    dense(chain, "output", 5)
    chain.add("Activation", "softmax", activation="softmax")
    return chain.model()


def diabetes_mlp() -> Config:
    """A network of 10-32-16-1 for scikit-learn's diabetes data; its output is a number."""
    chain = Chain("diabetes_mlp", (10,))
    for index, units in enumerate((32, 16), start=1):
        dense(chain, f"fc{index}", units, "he_normal")
        chain.add("Activation", f"relu{index}", activation="relu")
    dense(chain, "output", 1)
    return chain.model()


def digits_autoencoder() -> Config:
    """Gives back an image of 8x8 through 16 numbers; for the digits with themselves as targets."""
    chain = Chain("digits_autoencoder", (8, 8, 1))
    chain.add("Flatten", "flatten", (64,))
    for index, units in enumerate((32, 16, 32), start=1):
        dense(chain, f"fc{index}", units, "he_normal")
        chain.add("Activation", f"relu{index}", activation="relu")
    dense(chain, "output", 64)
    chain.add("Reshape", "image", (8, 8, 1), target_shape=[8, 8, 1])
    return chain.model()


def digits_cnn() -> Config:
    """A network for scikit-learn's digits, small enough for a trial of a few seconds.

    Its normalization averages over 10 batches instead of 100: an epoch of the digits has about 20.
    """
    return conv_block_network(
        "digits_cnn",
        (8, 8, 1),
        10,
        kernel_size=3,
        filters=(16, 32),
        with_maxpooling=False,
        batchnorm_momentum=0.9,
    )


ZOO: Final[Mapping[str, Callable[[], Config]]] = {
    "digits_cnn": digits_cnn,
    "mnist_convblock": mnist_convblock,
    "fashion_mnist_convblock": fashion_mnist_convblock,
    "cifar10_convblock": cifar10_convblock,
    "cifar100_convblock": cifar100_convblock,
    "jet_mlp": jet_mlp,
    "diabetes_mlp": diabetes_mlp,
    "digits_autoencoder": digits_autoencoder,
}

#: One line each, for `fewbits models`.
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "digits_cnn": "2 convolutions for scikit-learn's 8x8 digits",
    "mnist_convblock": "AutoQKeras notebook: 5 strided convolutions for MNIST, 28x28x1",
    "fashion_mnist_convblock": "AutoQKeras notebook: 7 separable convolutions for Fashion-MNIST, 28x28x1",
    "cifar10_convblock": "AutoQKeras notebook: 10 separable convolutions for CIFAR-10, 32x32x3",
    "cifar100_convblock": "AutoQKeras notebook: 13 separable convolutions for CIFAR-100, 32x32x3",
    "jet_mlp": "16-64-32-32-5 jet tagger of the LHC, 16 features",
    "diabetes_mlp": "10-32-16-1 regression of scikit-learn's diabetes data",
    "digits_autoencoder": "64-32-16-32-64 autoencoder of scikit-learn's 8x8 digits",
}


def zoo_config(name: str, dropout_rate: float | None = None, input_name: str = INPUT_NAME) -> Config:
    """The network's Keras configuration, its Dropout layers at another rate and its input under another name if such
    are given; KeyError if there is no network of this name.
    """
    config = _with_input(ZOO[name](), input_name)
    for layer in config["config"]["layers"]:
        if dropout_rate is not None and layer["class_name"] == "Dropout":
            layer["config"]["rate"] = dropout_rate
    return config


def _with_input(config: Config, name: str) -> Config:
    """The configuration, changed in place, with another name for the input."""
    body = config["config"]
    source, first = body["layers"][:2]
    source["name"] = source["config"]["name"] = name
    body["input_layers"] = [name, 0, 0]
    first["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = [name, 0, 0]
    return config

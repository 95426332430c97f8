"""Run a Keras model and step in where its layers are called."""

import contextlib
import inspect
import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from port_audit.changes import attributes
from port_audit.nets import kinds
from port_audit.nets.activations import Event
from port_audit.nets.drawing import NOISE_MARK, marking

DROPOUT = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.AlphaDropout,
)
WHOLE = (layers.MultiHeadAttention, layers.SimpleRNN)  # taken as one piece
NOISE = (layers.GaussianNoise, layers.GaussianDropout)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax)
POOLING = {
    layers.MaxPooling1D: 1,
    layers.MaxPooling2D: 2,
    layers.MaxPooling3D: 3,
    layers.AveragePooling1D: 1,
    layers.AveragePooling2D: 2,
    layers.AveragePooling3D: 3,
}
# Layers of which it matters on which side values are drawn.
MIXING = tuple(
    layer
    for name, layer in vars(layers).items()
    if "Pool" in name or name.startswith("UpSampling") or name == "RepeatVector"
)
# on_layer(layer, compute, inputs, args, kwargs) returns the outputs; compute is the layer's own.
OnLayer = Callable[[layers.Layer, Callable, Any, tuple, dict], Any]


class KerasNet:
    """The user's own Keras model. What an audit changes in it is undone in the end."""

    def __init__(self, model: keras.Model, inputs: Any, kept: bool = True):
        """Take a model.

        Args:
            model: The model.
            inputs: A few samples, if it may not be built yet.
            kept: Whether it is to get its values back in the end.
        """
        self.model = model
        if inputs is not None:
            model(inputs, training=False)  # builds what is not yet built
        self.layers = model._flatten_layers(include_self=False)
        self.named: tuple[str, ...] = ()  # outputs, if they have names
        self.set_aside(())
        self.made = self.values() if kept else []  # the values that it came with
        self.shapes: dict[int, tuple] = {}  # of the inputs of random layers
        self.draws: list[Event] = []  # of the last marked run
        self.passed: dict[int, tuple[int, int]] = {}  # numbers of values into and out of MIXING
        self.last: dict[int, tuple] = {}  # inputs and outputs of the last call of each layer
        self.needed: set[int] = set()  # layers of which a change needs these in every run

    def set_aside(self, names: Collection[str]) -> None:
        """Sort the layers by what is known of them.

        Args:
            names: Names of layers of a known kind that are to be taken as those of none are.
        """
        inner = {
            id(part)
            for layer in self.layers
            if isinstance(layer, layers.RNN)
            for part in layer._flatten_layers(include_self=False)
        }
        known = lambda layer: layer.name not in names and kinds.keras_kind(layer)  # noqa: E731
        leaves = [
            layer
            for layer in self.layers
            if id(layer) not in inner
            and (
                known(layer) or layer.name in names or not layer._flatten_layers(include_self=False)
            )
        ]
        self.known = [layer for layer in leaves if known(layer)]
        self.plain = [
            layer
            for layer in leaves
            if not known(layer) and not isinstance(layer, layers.InputLayer)
        ]
        covered = {id(v) for layer in self.known for v in kinds.variables(layer).values()}
        whole = [layer for layer in self.layers if isinstance(layer, WHOLE) or layer.name in names]
        parts = {id(part) for layer in whole for part in layer._flatten_layers(include_self=False)}
        # Layers of no known kind that have weights, each as a whole.
        self.blocks = whole + [
            layer
            for layer in self.layers
            if layer not in whole
            and id(layer) not in parts
            and any(id(v) not in covered for v in layer._trainable_variables)
        ]
        self.within = {
            id(layer): {id(part) for part in layer._flatten_layers()} for layer in self.blocks
        }
        self.dropped_within = {id(layer) for layer in self.plain if id(layer) in parts}
        self.random = [layer for layer in self.plain if is_random(layer)]
        self.channels_first = any(
            getattr(layer, "data_format", None) == "channels_first" for layer in self.known
        )

    def values(self) -> list[np.ndarray]:
        """Return the values of all variables of the model."""
        return [ops.convert_to_numpy(v) for v in self.model.variables]

    def assign(self, values: list[np.ndarray]) -> None:
        """Assign what `values` returned."""
        for variable, value in zip(self.model.variables, values, strict=True):
            variable.assign(value)

    def restore(self) -> None:
        """Give the model the values back that it came with, if they were kept."""
        if self.made:
            self.assign(self.made)

    @contextlib.contextmanager
    def watched(
        self,
        on_layer: OnLayer | None = None,
        on_plain: Callable[[layers.Layer], None] = lambda layer: None,
        on_drop: Callable[[layers.Layer, bool], None] = lambda layer, on: None,
        mark: bool = False,
        keep: bool = False,
    ) -> Iterator[None]:
        """Within this context, calls of layers are reported and nothing is random.

        Args:
            on_layer: Called instead of each layer of a known kind.
            on_plain: Called before each layer without weights.
            on_drop: Called before each random layer, with whether it is on.
            mark: Replace dropout that is on by a factor of 1 + rate, instead of leaving it out.
            keep: Keep in `last` what went into and came out of each layer, also behind it.
        """
        with contextlib.ExitStack() as stack:
            for layer in self.known:
                call = self._layer_call(layer, on_layer, keep or id(layer) in self.needed)
                # Shapes may change, and are compared here.
                stack.enter_context(attributes(layer, call=call, _input_spec=None))
            for layer in self.plain:
                if layer in self.random:
                    call = self._random_call(layer, on_drop, mark)
                else:
                    call = self._plain_call(layer, on_plain)
                stack.enter_context(attributes(layer, call=call))
            self.last.clear()
            self.draws.clear()
            try:
                yield
            finally:
                if not keep:
                    self.last.clear()

    def crops(self, layer: layers.Layer) -> bool:
        """Whether the port may crop what this layer puts out in a layer of its own."""
        return getattr(layer, "padding", None) == "valid" and any(
            isinstance(each, layers.Cropping1D | layers.Cropping2D | layers.Cropping3D)
            for each in self.plain
        )

    def _layer_call(self, layer: layers.Layer, on_layer: OnLayer | None, keep: bool) -> Callable:
        own = layer.call

        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            before = layer.__dict__.get("audited_before")
            inputs = inputs if before is None else before(inputs)
            acting = kinds.acting(layer)
            compute = own if acting is layer else acting.call
            if on_layer is None:
                outputs = compute(inputs, *args, **kwargs)
            else:
                outputs = on_layer(layer, compute, inputs, args, kwargs)
            behind = layer.__dict__.get("audited_behind")
            outputs = outputs if behind is None else behind(outputs)
            if keep:
                self.last[id(layer)] = (inputs, outputs)
            return outputs

        return call

    def _random_call(self, layer: layers.Layer, on_drop: Callable, mark: bool) -> Callable:
        own, takes_training = layer.call, "training" in inspect.signature(layer.call).parameters

        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            on = bool(kwargs.get("training", args[0] if args else False))
            if id(layer) not in self.dropped_within:
                on_drop(layer, on)
            self.shapes[id(layer)] = shape = tuple(inputs.shape)
            values = {"layer": layer.name, "values": _size(inputs), "on": on}
            if disturbs(layer) and mark and on:
                self.draws.append(Event("noise", values))
                scale = layer.__dict__.get("audited_scale", noise_scale(layer)) * NOISE_MARK
                adds = isinstance(layer, layers.GaussianNoise)
                return inputs + scale if adds else inputs * (1 + scale)
            if not drops(layer) or id(layer) in self.dropped_within:
                return own(inputs, **({"training": False} if takes_training else {}))

            def drop(inputs: Any) -> Any:
                if not mark:
                    return inputs
                what = dropped(layer, shape, self.channels_first)
                options = {"rate": float(layer.rate), "what": what, "on": True}
                self.draws.append(Event("dropout", values | options))
                return inputs * marking(layer.rate, what)

            if any(type(layer).call is cls.call for cls in DROPOUT):
                return drop(inputs) if on else inputs
            return _of_own_code(lambda: own(inputs, *args, **kwargs), inputs, on, drop)

        return call

    def _plain_call(self, layer: layers.Layer, on_plain: Callable) -> Callable:
        own = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            on_plain(layer)
            outputs = own(*args, **kwargs)
            if args and isinstance(layer, MIXING):
                self.passed[id(layer)] = _size(args[0]), _size(outputs)
            return outputs

        return call

    def run(self, inputs: Any, training: bool = False) -> Any:
        """Run the model, eagerly; several outputs with names come in the order of `named`."""
        outputs = self.model(inputs, training=training)
        if isinstance(outputs, dict):
            if set(self.named) != set(outputs):
                self.named = tuple(outputs)
            return {name: outputs[name] for name in self.named}
        self.named = ()
        return outputs


def _of_own_code(compute: Callable, inputs: Any, on: bool, drop: Callable) -> Any:
    """Return what a layer derived from Dropout puts out, with its draws replaced.

    Args:
        compute: Its own call. It may ask Keras's dropout, or draw by itself.
        inputs: What it gets.
        on: Whether it is called in training mode.
        drop: Stands for the dropout of some values.
    """
    asked = []

    def answer(values: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(True)
        return drop(values)

    with attributes(keras.src.backend.random, dropout=answer):
        outputs = compute()
    if asked:
        return outputs
    return drop(inputs) if on or _differ(inputs, outputs) else outputs


def _differ(inputs: Any, outputs: Any) -> bool:
    """Whether values differ, as far as they are known: in a graph that is compiled they are not."""
    try:
        one, other = (ops.convert_to_numpy(each) for each in (inputs, outputs))
    except Exception:
        return False
    return not np.array_equal(one, other)


def is_random(layer: layers.Layer) -> bool:
    """Whether a layer drops, disturbs or moves its inputs at random."""
    return isinstance(layer, DROPOUT) or bool(getattr(layer, "_seed_generators", ()))


def drops(layer: layers.Layer) -> bool:
    """Whether a layer is a dropout, of the library or derived from it."""
    own = (
        isinstance(layer, layers.AlphaDropout) and type(layer).call is not layers.AlphaDropout.call
    )
    return isinstance(layer, DROPOUT) and not own


def disturbs(layer: layers.Layer) -> bool:
    """Whether a layer adds noise or multiplies by it, and no code of a user's own says when."""
    return any(isinstance(layer, cls) and type(layer).call is cls.call for cls in NOISE)


def known_chance(layer: layers.Layer) -> bool:
    """Whether what a random layer draws can be replaced."""
    return drops(layer) or disturbs(layer)


def arrays(output: Any) -> list[np.ndarray]:
    """Return outputs, one or several, as a list of arrays."""
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list | tuple):
        return [each for part in output for each in arrays(part)]
    return [ops.convert_to_numpy(output)]


def activation_of(layer: layers.Layer) -> Callable | None:
    """Return the activation at the end of a layer, or None if it has none to speak of."""
    if kinds.keras_kind(layer) in kinds.RECURRENT:
        return None
    return getattr(layer, "activation", None)


def _size(values: Any) -> int:
    """Return the number of values; zero where a graph does not know it yet."""
    return math.prod(side or 0 for side in values.shape)


def dropped(layer: layers.Layer, shape: tuple, channels_first: bool) -> str:
    """Return what a dropout layer drops: "values", "channels", other "blocks", or "alpha".

    Args:
        layer: The layer.
        shape: Shape of its inputs.
        channels_first: Whether channels lie on the second axis.
    """
    if "audited_dropped" in layer.__dict__:
        return layer.__dict__["audited_dropped"]
    if hasattr(layer, "_get_noise_shape"):
        noise = layer._get_noise_shape(np.zeros(shape, "bool"))
    else:
        noise = getattr(layer, "noise_shape", None)
    together = {
        axis for axis, size in enumerate(noise or ()) if size == 1 and shape[axis] not in (1, None)
    }
    channel = 1 if channels_first else len(shape) - 1
    if not together:
        return "alpha" if isinstance(layer, layers.AlphaDropout) else "values"
    whole = together == set(range(1, len(shape))) - {channel}
    return "channels" if whole and not isinstance(layer, layers.AlphaDropout) else "blocks"


def noise_scale(layer: layers.Layer) -> float:
    """Return the standard deviation of a noise layer, of what it adds or of its factor."""
    if isinstance(layer, layers.GaussianNoise):
        return float(layer.stddev)
    return float(np.sqrt(layer.rate / (1 - layer.rate)))

"""Planted differences: a faithful pair, what is changed in it, and the causes to be named."""

import keras
import torch
from keras import layers
from torch import nn

from shared_keras.models import optimizers
from shared_keras.models.layers import BatchNorm
from tests.port_audit import plain_pairs as plain
from tests.port_audit import shaped_pairs as shaped
from tests.port_audit.parts import conv, dense

CE = keras.losses.SparseCategoricalCrossentropy
CosineDecay = keras.optimizers.schedules.CosineDecay
ExponentialDecay = keras.optimizers.schedules.ExponentialDecay


def _sgd(**options):
    return lambda: keras.optimizers.SGD(**({"learning_rate": 0.1} | options))


def _torch_sgd(**options):
    return lambda parameters: torch.optim.SGD(parameters, **({"lr": 0.1} | options))


def _torch_adam(**options):
    return lambda parameters: torch.optim.Adam(parameters, **({"lr": 1e-2} | options))


def _hidden(*made, **options):
    return lambda: [dense(16, 20, "relu", **options), *(make() for make in made)]


def _with_decay(**options):
    """Return hidden layer and optimizer of a pair whose original has weight_decay=0.01."""
    return {
        "theirs": {"optimizer": _torch_sgd(weight_decay=1e-2)},
        **options,
    }


def _l2_kernels(factor):
    return lambda: [dense(16, 20, "relu", kernel_regularizer=keras.regularizers.L2(factor))]


def _smoothed():
    return nn.CrossEntropyLoss(label_smoothing=0.1)


def _weighted(reduction="mean"):
    return nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0]), reduction=reduction)


def _per_epoch(rate):
    return lambda: [keras.callbacks.LearningRateScheduler(rate)]


def _step_lr(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


def _cosine(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)


def _plateau(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=3, threshold_mode="abs"
    )


def _clip_norm(parameters):
    nn.utils.clip_grad_norm_(parameters, 0.5)


def _clip_value(parameters):
    nn.utils.clip_grad_value_(parameters, 0.01)


def _mean_of_batches(model, batches):
    model.eval()
    return sum((model(x).argmax(1) == y).float().mean().item() for x, y in batches) / len(batches)


def _no_eval(model, batches):
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in batches)
    return right / sum(len(y) for _, y in batches)


def _no_eval_and_mean(model, batches):
    return sum((model(x).argmax(1) == y).float().mean().item() for x, y in batches) / len(batches)


def _shift(images):
    return (images - 0.1307) / 0.3081


def _double(images):
    return images / 2


SINGLE = {
    # layers
    "a layer too few": (plain.mlp, {"hidden": lambda: []}, {"missing layer", "shape"}),
    "a layer too many": (
        plain.mlp,
        {"hidden": _hidden(lambda: dense(16, 16))},
        {"extra layer"},
    ),
    "units": (shaped.cnn, {"units": 24}, {"shape"}),
    "kernel size": (shaped.volume, {"kernel": 2}, {"shape"}),
    "no bias": (plain.mlp, {"hidden": _hidden(use_bias=False)}, {"bias"}),
    "frozen embedding": (shaped.bag, {"train": False}, {"frozen"}),
    # outputs
    "activation": (plain.mlp, {"hidden": lambda: [dense(16, 20, "tanh")]}, {"activation"}),
    "activation forgotten": (plain.mlp, {"hidden": lambda: [dense(16, 20)]}, {"activation"}),
    "activation of one input": (plain.two_inputs, {"right": "relu"}, {"activation"}),
    "scale of one input": (plain.two_inputs, {"scale": 0.5}, {"input scale"}),
    "leaky slope": (plain.binary, {"slope": 0.3}, {"slope"}),
    "approximate GELU": (plain.residual, {"approximate": True}, {"activation"}),
    "swish for mish": (plain.normed, {"activation": "silu"}, {"activation"}),
    "layer norm epsilon": (plain.residual, {"epsilon": 1e-3}, {"epsilon"}),
    "batch norm epsilon": (plain.normed, {"norm": lambda: BatchNorm(epsilon=1e-3)}, {"epsilon"}),
    "group norm epsilon": (shaped.grouped, {"epsilon": 1e-3}, {"epsilon"}),
    "groups": (shaped.grouped, {"groups": 4}, {"groups"}),
    "dilation": (shaped.grouped, {"dilation": 1}, {"dilation"}),
    "same with a stride": (
        shaped.cnn,
        {"first": lambda: [conv(6, 3, 1, strides=2, padding="same", activation="relu")]},
        {"padding"},
    ),
    "no padding": (
        shaped.cnn,
        {"first": lambda: [conv(6, 3, 1, strides=2, activation="relu")]},
        {"padding"},
    ),
    "padding on one side": (
        shaped.cnn,
        {
            "first": lambda: [
                layers.ZeroPadding2D(((0, 1), (0, 1))),
                conv(6, 3, 1, strides=2, activation="relu"),
            ]
        },
        {"padding"},
    ),
    "stride": (
        shaped.cnn,
        {"first": lambda: [layers.ZeroPadding2D(1), conv(6, 3, 1, activation="relu")]},
        {"strides"},
    ),
    "same in one dimension": (shaped.signal, {"padding": False}, {"padding"}),
    "pooling": (shaped.cnn, {"pool": lambda: layers.AveragePooling2D(2)}, {"pooling"}),
    "pooling at the edge": (
        shaped.normed_cnn,
        {"pool": lambda: layers.AveragePooling2D(3, 2, padding="same")},
        {"pooling"},
    ),
    "maximum of all places": (
        shaped.normed_cnn,
        {"whole": layers.GlobalMaxPooling2D},
        {"pooling"},
    ),
    "swapped axes": (shaped.cnn, {"flip": True}, {"axes"}),
    "scale of images": (shaped.cnn, {"scale": 1 / 255}, {"input scale"}),
    "mean and std": (plain.mlp, {"theirs": {"preprocess": _shift}}, {"input scale"}),
    "another preprocess": (plain.mlp, {"ours": {"preprocess": _double}}, {"input scale"}),
    "unfolded channels last": (shaped.decoder, {"reshape": False}, {"reshape"}),
    "no residual": (plain.residual, {"add": False}, {"residual"}),
    "no residual of images": (shaped.residual_cnn, {"add": False}, {"residual"}),
    "reset_after": (shaped.gru, {"reset_after": False}, {"reset_after"}),
    "mask": (shaped.lstm, {"mask": True}, {"mask"}),
    "recurrent activation": (shaped.lstm, {"recurrent": "hard_sigmoid"}, {"recurrent activation"}),
    "direction": (shaped.lstm, {"backwards": True}, {"direction"}),
    # initial values
    "Keras's initial values": (
        plain.mlp,
        {"hidden": lambda: [layers.Dense(16, "relu")]},
        {"initial values"},
    ),
    "Keras's embedding": (shaped.bag, {"start": "uniform"}, {"initial values"}),
    "truncated He": (
        plain.mlp,
        {"hidden": _hidden(kernel_initializer="he_normal")},
        {"initial values"},
    ),
    # training mode
    "dropout rate": (plain.normed, {"drop": 0.5}, {"dropout rate"}),
    "dropout forgotten": (plain.normed, {"drop": None}, {"missing dropout"}),
    "dropout too much": (
        plain.mlp,
        {"hidden": _hidden(lambda: layers.Dropout(0.2))},
        {"extra dropout"},
    ),
    "dropout of values": (shaped.normed_cnn, {"drop": False}, {"dropout kind"}),
    "batch norm momentum": (plain.normed, {"norm": lambda: BatchNorm(momentum=0.99)}, {"momentum"}),
    "biased variance": (
        plain.normed,
        {"norm": lambda: layers.BatchNormalization(momentum=0.9, epsilon=1e-5)},
        {"running variance"},
    ),
    "frozen batch norm": (shaped.normed_cnn, {"trainable": False}, {"frozen"}),
    # loss
    "probabilities for logits": (plain.mlp, {"loss": CE}, {"from_logits"}),
    "softmax twice": (plain.mlp, {"end": "softmax"}, {"softmax twice"}),
    "sigmoid twice": (plain.binary, {"end": "sigmoid"}, {"softmax twice"}),
    "sum of losses": (
        plain.mlp,
        {"loss": lambda: CE(from_logits=True, reduction="sum")},
        {"reduction"},
    ),
    "label smoothing": (plain.mlp, {"theirs": {"loss": _smoothed()}}, {"label smoothing"}),
    "class weights": (
        plain.mlp,
        {"theirs": {"loss": _weighted()}, "ours": {"class_weight": {0: 1, 1: 2, 2: 3, 3: 4}}},
        {"class weights"},
    ),
    "class weights forgotten": (plain.mlp, {"theirs": {"loss": _weighted()}}, {"class weights"}),
    "ignored class": (
        plain.mlp,
        {"theirs": {"loss": nn.CrossEntropyLoss(ignore_index=2)}},
        {"ignored class"},
    ),
    "mean squared error for Huber": (
        plain.regression,
        {"loss": keras.losses.MeanSquaredError()},
        {"loss"},
    ),
    "delta of Huber": (plain.regression, {"delta": 0.5}, {"delta"}),
    "weights of losses": (plain.two_heads, {"weights": (1.0, 1.0)}, {"loss weights"}),
    # steps
    "learning rate": (plain.mlp, {"optimizer": _sgd(learning_rate=0.01)}, {"learning rate"}),
    "momentum forgotten": (
        plain.mlp,
        {"theirs": {"optimizer": _torch_sgd(momentum=0.9)}},
        {"optimizer momentum"},
    ),
    "nesterov": (
        plain.mlp,
        {
            "optimizer": _sgd(momentum=0.9, nesterov=True),
            "theirs": {"optimizer": _torch_sgd(momentum=0.9)},
        },
        {"nesterov"},
    ),
    "betas": (
        plain.normed,
        {"optimizer": lambda: optimizers.Adam(1e-2, l2=1e-3, beta_2=0.99)},
        {"betas"},
    ),
    "Adam's epsilon": (
        plain.normed,
        {"optimizer": lambda: optimizers.Adam(1e-2, l2=1e-3, epsilon=1e-4)},
        {"optimizer epsilon"},
    ),
    "stock Adam": (
        plain.mlp,
        {
            "optimizer": lambda: keras.optimizers.Adam(1e-2, epsilon=1e-8),
            "theirs": {"optimizer": _torch_adam()},
        },
        {"epsilon place"},
    ),
    "AdamW for L2": (
        plain.mlp,
        {
            "optimizer": lambda: optimizers.Adam(1e-2, weight_decay=1e-2),
            "theirs": {"optimizer": _torch_adam(weight_decay=1e-2)},
        },
        {"decoupled decay"},
    ),
    "L2 for AdamW": (
        plain.residual,
        {"optimizer": lambda: optimizers.Adam(1e-3, l2=0.05)},
        {"coupled decay"},
    ),
    "default decay of AdamW": (plain.residual, {"decay": 0.004}, {"weight decay"}),
    "decay twice": (
        plain.mlp,
        _with_decay(optimizer=_sgd(weight_decay=None), hidden=_l2_kernels(1e-2)),
        {"decay factor"},
    ),
    "rho": (plain.regression, {"rho": 0.9}, {"rho"}),
    "stock RMSprop": (
        plain.regression,
        {"optimizer": lambda: keras.optimizers.RMSprop(1e-3, 0.99, 0.9, 1e-8)},
        {"epsilon place", "weight decay"},
    ),
    "accumulator": (plain.prelu, {"accumulator": 0.1}, {"accumulator"}),
    "another optimizer": (
        plain.mlp,
        {"optimizer": lambda: keras.optimizers.Adam(0.1)},
        {"optimizer"},
    ),
    "two biases": (shaped.lstm, {"bias": True}, {"initial values", "two biases"}),
    "padding_idx": (shaped.bag, {"theirs_padding": 0}, {"padding_idx"}),
    # schedule
    "no schedule": (plain.mlp, {"theirs": {"scheduler": _step_lr}}, {"schedule missing"}),
    "cosine per batch": (
        plain.mlp,
        {"theirs": {"scheduler": _cosine}, "optimizer": _sgd(learning_rate=CosineDecay(0.1, 10))},
        {"schedule per batch", "schedule floor"},
    ),
    "per epoch for per batch": (
        plain.mlp,
        {
            "theirs": {"scheduler": _step_lr, "step_scheduler_per": "batch"},
            "ours": {"callbacks": _per_epoch(lambda e: 0.1 * 0.5 ** (e // 2))},
        },
        {"schedule per epoch"},
    ),
    "an epoch late": (
        plain.mlp,
        {
            "theirs": {"scheduler": _step_lr},
            "ours": {"callbacks": _per_epoch(lambda e: 0.1 * 0.5 ** (max(0, e - 1) // 2))},
        },
        {"schedule shifted"},
    ),
    "cosine stays at its floor": (
        plain.mlp,
        {
            "theirs": {"scheduler": _cosine, "step_scheduler_per": "batch"},
            "optimizer": _sgd(learning_rate=CosineDecay(0.1, 10)),
        },
        {"schedule floor"},
    ),
    "staircase": (
        plain.mlp,
        {
            "theirs": {
                "scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 5, 0.5),
                "step_scheduler_per": "batch",
            },
            "optimizer": _sgd(learning_rate=ExponentialDecay(0.1, 5, 0.5)),
        },
        {"staircase"},
    ),
    "patience": (
        plain.mlp,
        {
            "theirs": {"scheduler": _plateau},
            "ours": {
                "callbacks": lambda: [
                    keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=3, min_delta=1e-4)
                ]
            },
        },
        {"patience"},
    ),
    "batch size": (plain.mlp, {"ours": {"batch_size": 64}}, {"batch size"}),
    "last batch dropped": (plain.mlp, {"theirs": {"drop_last": True}}, {"last batch"}),
    "clipping each variable": (
        plain.mlp,
        {"theirs": {"clip": _clip_norm}, "optimizer": _sgd(clipnorm=0.5)},
        {"clipping"},
    ),
    "clipping values": (
        plain.mlp,
        {"theirs": {"clip": _clip_value}, "optimizer": _sgd(global_clipnorm=0.01)},
        {"clipping"},
    ),
    "no clipping": (plain.mlp, {"theirs": {"clip": _clip_norm}}, {"clipping"}),
    # evaluation
    "mean of batches": (
        plain.mlp,
        {"theirs": {"evaluate": _mean_of_batches}},
        {"average of batches"},
    ),
    "eval forgotten": (plain.normed, {"theirs": {"evaluate": _no_eval}}, {"eval mode"}),
}

SEVERAL = {
    "epsilon and momentum of batch norm": (
        plain.normed,
        {"norm": lambda: BatchNorm(epsilon=1e-3, momentum=0.99)},
        {"epsilon", "momentum"},
    ),
    "stock batch norm": (
        plain.normed,
        {"norm": layers.BatchNormalization},
        {"epsilon", "momentum", "running variance"},
    ),
    "activation, dropout, decay": (
        plain.normed,
        {
            "activation": "silu",
            "drop": 0.5,
            "optimizer": lambda: optimizers.Adam(1e-2, weight_decay=1e-3),
        },
        {"activation", "dropout rate", "decoupled decay"},
    ),
    "padding, pooling, rate": (
        shaped.cnn,
        {
            "first": lambda: [conv(6, 3, 1, strides=2, padding="same", activation="relu")],
            "pool": lambda: layers.AveragePooling2D(2),
            "optimizer": _sgd(learning_rate=0.05),
        },
        {"padding", "pooling", "learning rate"},
    ),
    "units and activation": (shaped.cnn, {"units": 24, "hidden": "tanh"}, {"shape", "activation"}),
    "initial values and slope": (
        plain.mlp,
        {
            "hidden": lambda: [layers.Dense(16, "elu")],
            "loss": CE,
            "end": "softmax",
            "optimizer": _sgd(learning_rate=0.2),
        },
        {"activation", "initial values", "learning rate"},
    ),
    "softmax twice and clipping": (
        plain.mlp,
        {"end": "softmax", "theirs": {"clip": _clip_norm}, "optimizer": _sgd(clipnorm=0.5)},
        {"softmax twice", "clipping"},
    ),
    "mask and schedule": (
        shaped.lstm,
        {"mask": True, "recurrent": "hard_sigmoid"},
        {"mask", "recurrent activation"},
    ),
    "eval forgotten, mean of batches": (
        plain.normed,
        {"theirs": {"evaluate": _no_eval_and_mean}},
        {"eval mode", "average of batches"},
    ),
    "epsilon, residual, decay": (
        plain.residual,
        {"epsilon": 1e-3, "add": False, "decay": 0.004},
        {"epsilon", "residual", "weight decay"},
    ),
    "nesterov, schedule, batch size": (
        plain.mlp,
        {
            "optimizer": _sgd(momentum=0.9, nesterov=True),
            "theirs": {"optimizer": _torch_sgd(momentum=0.9), "scheduler": _step_lr},
            "ours": {"batch_size": 64},
        },
        {"nesterov", "schedule missing", "batch size"},
    ),
    "scale, padding, epsilon": (
        shaped.cnn,
        {
            "scale": 0.5,
            "flip": False,
            "first": lambda: [conv(6, 3, 1, strides=2, padding="same", activation="relu")],
        },
        {"input scale", "padding"},
    ),
}

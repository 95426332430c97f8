"""The recipes as pairs: the twin as the original, the Keras model as the port."""

import torch

from port_audit import KerasSide, TorchSide
from shared_keras.models.build import keras_model, schedule_callbacks
from shared_keras.pytorch import twin


def sides(system):
    """Return both sides of a system."""

    def optimizer(parameters):
        # `twin` gives each layer its penalty, so it needs the network of these parameters.
        network = twin.module(system)
        parameters = iter(parameters)
        for part in network.modules():
            for name in list(part._parameters):
                if part._parameters[name] is not None:
                    part._parameters[name] = next(parameters)
        return twin.make_optimizer(system, network)

    schedule = system.optimizer.schedule
    theirs = TorchSide(
        lambda: twin.module(system),
        torch.nn.CrossEntropyLoss(),
        optimizer,
        (lambda optimizer: twin.make_scheduler(system, optimizer)) if schedule else None,
        preprocess=lambda images: twin.normalized(system, images).float(),
        step_scheduler_per=schedule.per if schedule else "epoch",
    )
    return theirs, KerasSide(
        lambda: keras_model(system), callbacks=lambda: schedule_callbacks(system)
    )

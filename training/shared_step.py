"""A step that several workers take together: each with its share of the batch, all with one result.

The losses are no means over chips (Dice is a ratio of sums over the batch, unknown pixels carry no
weight), and batch normalisation takes moments over the batch. So it is not gradients that are
averaged over workers, but the sums inside the losses and the moments that run over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from training.losses import Tensor, Total

if TYPE_CHECKING:
    from training.group import Group


def synchronise(model: keras.Model) -> None:
    """Have the layers of batch normalisation take their moments over all workers."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def shared_step(
    group: Group,
    model: keras.Model,
    make_loss: Callable[[Total], Callable[[Tensor, Tensor], Tensor]],
) -> Callable[[dict[str, Any], Any], Any]:
    """What ``model.train_on_batch`` is to one worker.

    Args:
        group: the workers.
        model: compiled, with the same weights on all of them.
        make_loss: gives the loss, from what sums over the batch.

    Returns:
        A function of this worker's inputs by name and targets; gives the loss of the whole batch,
        the same on every worker, and leaves the same weights.
    """
    loss_of = make_loss(lambda values: group.all_sum(tf.reduce_sum(values)))

    def gradients(inputs: dict[str, Tensor], target: Tensor) -> tuple[Tensor, list[Tensor]]:
        with tf.GradientTape() as tape:
            loss = loss_of(target, model(inputs, training=True))
            loss += sum(model.losses)
            # Every worker has the whole loss, and their gradients are added up.
            part = loss / group.count
        return loss, group.all_sum(tape.gradient(part, model.trainable_variables))

    together = group.together(gradients)

    update = tf.function(
        lambda found: model.optimizer.apply(found, model.trainable_variables), autograph=False
    )

    def step(inputs: dict[str, Any], target: Any) -> Any:
        given = {name: tf.constant(values) for name, values in inputs.items()}
        loss, found = together(given, tf.constant(target))
        # Outside the group: an update of each worker's own weights, clipped after the sum.
        update(found)
        return loss

    return step

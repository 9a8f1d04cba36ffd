"""The simple recurrent unit: a recurrence without a product of matrices from step to step."""

from __future__ import annotations

import keras
from keras import ops


def sru_cells(candidates, sums, peephole, cell):
    """The one thing of an SRU that waits for the step before.

        f_t = σ(sums_t + v ∗ c_{t-1});  c_t = f_t ∗ c_{t-1} + (1 - f_t) ∗ x̃_t

    The gradient goes back along the same line, its factors made before:

        d_{t-1} = (d_t) ∗ (f_t + v ∗ (c_{t-1} - x̃_t) ∗ f_t ∗ (1 - f_t))

    Args:
        candidates: (time, batch, units) x̃_t.
        sums: (time, batch, units) W_f x_t + b_f.
        peephole: (units,) v.
        cell: (batch, units) c_0.

    Returns:
        (time, batch, units) c_t.
    """

    @ops.custom_gradient
    def run(candidates, sums, peephole, cell):
        units = cell.shape[-1]

        def forward(c, step):
            forget = ops.sigmoid(step[..., units:] + peephole * c)
            c = forget * c + (1 - forget) * step[..., :units]
            return c, c

        # One tensor: with several, Keras's scan on TensorFlow does not take an unknown number of steps.
        _, cells = ops.scan(forward, cell, ops.concatenate([candidates, sums], axis=-1))

        def gradients(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            before = ops.concatenate([cell[None], cells[:-1]], axis=0)
            forget = ops.sigmoid(sums + peephole * before)
            to_sums = (before - candidates) * forget * (1 - forget)

            def backward(carried, step):
                d_cell = carried[..., :units] + step[..., :units]
                new = ops.concatenate([d_cell * step[..., units:], d_cell], axis=-1)
                return new, new

            (last, steps) = ops.scan(
                backward,
                ops.concatenate([ops.zeros_like(cell)] * 2, axis=-1),
                ops.concatenate([upstream, forget + peephole * to_sums], axis=-1),
                reverse=True,
            )
            d_cells = steps[..., units:]
            d_sums = d_cells * to_sums
            return d_cells * (1 - forget), d_sums, ops.sum(d_sums * before, axis=(0, 1)), last[..., :units]

        return cells, gradients

    return run(candidates, sums, peephole, cell)


@keras.saving.register_keras_serializable(package="dmlkit")
class SRU(keras.layers.Layer):
    """One layer of the simple recurrent unit.

        x̃_t = W x_t
        f_t = σ(W_f x_t + v_f ∗ c_{t-1} + b_f);  r_t = σ(W_r x_t + v_r ∗ c_{t-1} + b_r)
        c_t = f_t ∗ c_{t-1} + (1 - f_t) ∗ x̃_t;  h_t = r_t ∗ c_t + (1 - r_t) ∗ x_t

    Where the frames are not of the layer's size, W_x x_t stands for the last x_t. v_f, v_r and the biases start
    at zero.

    Args:
        units: Size of the state and of the cell.

    Call arguments: `frames` x_t (batch, time, size). Returns h_t (batch, time, units). Weights: `kernel` (size,
    3 * units), with the projection (size, 4 * units), the columns for x̃, f, r, x in this order; `peephole` (2,
    units) with the rows v_f, v_r; `bias` (2 * units,) for f, r.

    Paper: §Future work (Lei et al. 2018, §2 and the projection of their code).
    """

    def __init__(self, units, **keras_arguments):
        super().__init__(**keras_arguments)
        self.units = units

    def build(self, frames_shape):
        """See the class."""
        size, units = frames_shape[-1], self.units
        blocks = 3 if size == units else 4
        self.kernel = self.add_weight(
            shape=(size, blocks * units), initializer="glorot_uniform", name="kernel"
        )
        self.peephole = self.add_weight(shape=(2, units), initializer="zeros", name="peephole")
        self.bias = self.add_weight(shape=(2 * units,), initializer="zeros", name="bias")

    def call(self, frames):
        """See the class."""
        units = self.units
        # All steps' products at once: none of them waits for a state.
        products = ops.matmul(ops.transpose(frames, (1, 0, 2)), self.kernel)
        candidates = products[..., :units]
        sums = products[..., units : 3 * units] + self.bias
        carried = (
            ops.transpose(frames, (1, 0, 2)) if frames.shape[-1] == units else products[..., 3 * units :]
        )
        start = ops.zeros_like(candidates[0])
        cells = sru_cells(candidates, sums[..., :units], self.peephole[0], start)
        before = ops.concatenate([start[None], cells[:-1]], axis=0)
        reset = ops.sigmoid(sums[..., units:] + self.peephole[1] * before)
        return ops.transpose(reset * cells + (1 - reset) * carried, (1, 0, 2))

    def compute_output_shape(self, frames_shape):
        """See the class."""
        return (*frames_shape[:-1], self.units)

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "units": self.units}


def sru_layer(units, *, name):
    """One layer of `SRU`: (batch, time, size) → (batch, time, units)."""
    return SRU(units, name=name)

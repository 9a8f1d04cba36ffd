"""Keras's LSTM and GRU with a loop of few products, for where no cuDNN is.

Keras's own loop takes one product with the inputs and one with the state in each step, and its gradient adds up
both kernels' gradients step by step. Here all steps' inputs meet their kernel in one product before the loop, and
the kernels' gradients are one product each after it; the loop keeps what depends on the step before:

    forward    state_t = step(projected_t, state_{t-1} · R)        a product a step
    backward   d_{t-1} = (d_t ∗ factor_t) · Rᵀ                     a product a step, the factors made before
    after      dR = [state_0 ... state_{T-1}]ᵀ [δ_1 ... δ_T]       one product

Weights, names and numbers are those of `keras.layers.LSTM` and `GRU`, which try cuDNN (and whatever else the
backend has) first: this loop is only what they fall back on.
"""

from __future__ import annotations

import keras
from keras import ops


def lstm_states(projected, recurrent_kernel, state, cell):
    """An LSTM's states.

    Args:
        projected: (time, batch, 4 * units) x_t W + b, the columns for i, f, c, o in this order.
        recurrent_kernel: (units, 4 * units).
        state: (batch, units) h_0.
        cell: (batch, units) c_0.

    Returns:
        (time, batch, units) h_t.
    """

    @ops.custom_gradient
    def run(projected, kernel, state, cell):
        def forward(carried, projected_t):
            h, c, _ = carried
            i, f, g, o = ops.split(projected_t + ops.matmul(h, kernel), 4, axis=-1)
            i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
            c = f * c + i * g
            new = (o * ops.tanh(c), c, ops.concatenate([i, f, g, o], axis=-1))
            return new, new

        _, (states, cells, gates) = ops.scan(forward, (state, cell, ops.zeros_like(projected[0])), projected)

        def gradients(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            i, f, g, o = ops.split(gates, 4, axis=-1)
            squashed = ops.tanh(cells)
            to_gates = ops.concatenate(
                [
                    g * i * (1 - i),
                    _before(cells, cell) * f * (1 - f),
                    i * (1 - g * g),
                    squashed * o * (1 - o),
                ],
                axis=-1,
            )
            to_cell = o * (1 - squashed * squashed)
            transposed = ops.transpose(kernel)

            def backward(carried, factors):
                dh, dc, _ = carried
                upstream_t, to_cell_t, f_t, to_gates_t = _parts(factors, units, 3)
                dh = dh + upstream_t
                dc = dc + dh * to_cell_t
                dz = ops.concatenate([dc, dc, dc, dh], axis=-1) * to_gates_t
                new = (ops.matmul(dz, transposed), dc * f_t, dz)
                return new, new

            zero, units = ops.zeros_like(state), state.shape[-1]
            (d_state, d_cell, _), (_, _, d_projected) = ops.scan(
                backward,
                (zero, zero, ops.zeros_like(projected[0])),
                # One tensor: with several, Keras's scan on TensorFlow does not take an unknown number of steps.
                ops.concatenate([upstream, to_cell, f, to_gates], axis=-1),
                reverse=True,
            )
            return d_projected, _products(_before(states, state), d_projected), d_state, d_cell

        return states, gradients

    return run(projected, recurrent_kernel, state, cell)


def gru_states(projected, recurrent_kernel, recurrent_bias, state):
    """A GRU's states, the reset after the product.

    Args:
        projected: (time, batch, 3 * units) x_t W + b, the columns for z, r, h in this order.
        recurrent_kernel: (units, 3 * units).
        recurrent_bias: (3 * units,).
        state: (batch, units) h_0.

    Returns:
        (time, batch, units) h_t.
    """

    @ops.custom_gradient
    def run(projected, kernel, bias, state):
        def forward(carried, projected_t):
            h, _ = carried
            x_z, x_r, x_h = ops.split(projected_t, 3, axis=-1)
            h_z, h_r, h_h = ops.split(ops.matmul(h, kernel) + bias, 3, axis=-1)
            z, r = ops.sigmoid(x_z + h_z), ops.sigmoid(x_r + h_r)
            candidate = ops.tanh(x_h + r * h_h)
            h = z * h + (1 - z) * candidate
            new = (h, ops.concatenate([z, r, candidate, h_h], axis=-1))
            return new, new

        units = state.shape[-1]
        _, (states, gates) = ops.scan(forward, (state, ops.concatenate([state] * 4, axis=-1)), projected)

        def gradients(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            z, r, candidate, h_h = ops.split(gates, 4, axis=-1)
            before = _before(states, state)
            to_candidate = (1 - z) * (1 - candidate * candidate)
            to_update = (before - candidate) * z * (1 - z)
            to_reset = to_candidate * h_h * r * (1 - r)
            to_products = ops.concatenate([to_update, to_reset, to_candidate * r], axis=-1)
            transposed = ops.transpose(kernel)

            def backward(carried, factors):
                dh, _ = carried
                upstream_t, z_t, to_products_t = _parts(factors, units, 2)
                dh = dh + upstream_t
                products = ops.concatenate([dh, dh, dh], axis=-1) * to_products_t
                new = (ops.matmul(products, transposed) + dh * z_t, dh)
                return new, new

            zero = ops.zeros_like(state)
            (d_state, _), (_, dh) = ops.scan(
                backward, (zero, zero), ops.concatenate([upstream, z, to_products], axis=-1), reverse=True
            )
            d_products = ops.concatenate([dh, dh, dh], axis=-1) * to_products
            # What the inputs add to the candidate is not reset: there the factor r is missing.
            d_projected = ops.concatenate([d_products[..., : 2 * units], dh * to_candidate], axis=-1)
            return d_projected, _products(before, d_products), ops.sum(d_products, axis=(0, 1)), d_state

        return states, gradients

    return run(projected, recurrent_kernel, recurrent_bias, state)


def _parts(joined, units, count):
    """The first `count` tensors of so many units that were joined, and the rest."""
    return *(joined[..., place * units : (place + 1) * units] for place in range(count)), joined[
        ..., count * units :
    ]


def _before(states, first):
    """(time, batch, size) → the same a step earlier, `first` (batch, size) at the first step."""
    return ops.concatenate([first[None], states[:-1]], axis=0)


def _products(states, gradients):
    """Σ over steps and videos of stateᵀ gradient: (units, columns)."""
    rows = ops.transpose(ops.reshape(states, (-1, states.shape[-1])))
    return ops.matmul(rows, ops.reshape(gradients, (-1, gradients.shape[-1])))


class _OneProduct(keras.layers.RNN):
    """Between Keras's layer and its `RNN`: what the layer's `inner_loop` finds where the backend has nothing."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """See the class."""
        if mask is not None or not self._plain():
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)
        steps_first = ops.transpose(ops.cast(sequences, self.compute_dtype), (1, 0, 2))
        if not isinstance(initial_state, list | tuple):
            initial_state = [initial_state]
        outputs = ops.transpose(self._states(steps_first, *initial_state), (1, 0, 2))
        return outputs[:, -1], outputs, []

    def _plain(self):
        """Whether the layer is as the encoders make it; any other goes the long way round."""
        cell = self.cell
        return (
            cell.use_bias
            and cell.activation is keras.activations.tanh
            and cell.recurrent_activation is keras.activations.sigmoid
            and not (cell.dropout or cell.recurrent_dropout or self.unroll or self.go_backwards)
            and not (self.stateful or self.return_state)
            and getattr(cell, "reset_after", True)
        )


@keras.saving.register_keras_serializable(package="dmlkit")
class LSTM(keras.layers.LSTM, _OneProduct):
    """`keras.layers.LSTM`, faster where no cuDNN is; see the head of this file.

    Paper: §LSTM. Differs from the paper: without its peephole connections, which cuDNN does not know.
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """See the class."""
        # JAX's cuDNN operation has no 16-bit form, and says so when it is compiled, too late for Keras to turn back.
        if keras.backend.backend() == "jax" and self.compute_dtype != "float32":
            return _OneProduct.inner_loop(self, sequences, initial_state, mask, training=training)
        return super().inner_loop(sequences, initial_state, mask, training=training)

    def _states(self, inputs, state, carried):
        projected = ops.matmul(inputs, self.cell.kernel) + self.cell.bias
        return lstm_states(projected, _tensor(self.cell.recurrent_kernel), state, carried)


@keras.saving.register_keras_serializable(package="dmlkit")
class GRU(keras.layers.GRU, _OneProduct):
    """`keras.layers.GRU`, faster where no cuDNN is; see the head of this file.

    Paper: §Bi-GRU. Differs from the paper: with a bias, and the reset after the product, as cuDNN has it.
    """

    def _states(self, inputs, state):
        input_bias, recurrent_bias = self.cell.bias[0], self.cell.bias[1]
        projected = ops.matmul(inputs, self.cell.kernel) + input_bias
        return gru_states(projected, _tensor(self.cell.recurrent_kernel), recurrent_bias, state)


def _tensor(weight):
    # A custom gradient wants what it differentiates as tensors, not variables.
    return ops.reshape(weight, weight.shape)

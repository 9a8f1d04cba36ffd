"""The LSTM by the paper's letter: with peephole connections."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="dmlkit")
class PeepholeLSTMCell(keras.layers.Layer):
    """One step of an LSTM whose gates see the cell.

        i_t = σ(W_xi x_t + W_hi h_{t-1} + W_ci c_{t-1} + b_i)
        f_t = σ(W_xf x_t + W_hf h_{t-1} + W_cf c_{t-1} + b_f)
        c_t = f_t ∗ c_{t-1} + i_t ∗ tanh(W_xc x_t + W_hc h_{t-1} + b_c)
        o_t = σ(W_xo x_t + W_ho h_{t-1} + W_co c_t + b_o)
        h_t = o_t ∗ tanh(c_t)

    W_ci, W_cf and W_co are diagonal and start at zero, so training begins at the standard LSTM; b_f starts
    at 1.

    Args:
        units: Size of the state and of the cell.

    Call arguments: `inputs` (batch, size), `states` [h, c], each (batch, units). Returns h_t and [h_t, c_t].
    Weights: `kernel` (size, 4 * units), `recurrent_kernel` (units, 4 * units), `peephole` (3, units) with the
    rows W_ci, W_cf, W_co, and `bias` (4 * units,); the columns are for i, f, c, o in this order.

    Paper: §LSTM.
    """

    def __init__(self, units, **keras_arguments):
        super().__init__(**keras_arguments)
        self.units = units
        self.state_size = [units, units]
        self.output_size = units

    def build(self, inputs_shape):
        """See the class."""
        units = self.units
        self.kernel = self.add_weight(
            shape=(inputs_shape[-1], 4 * units), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(units, 4 * units), initializer="orthogonal", name="recurrent_kernel"
        )
        self.peephole = self.add_weight(shape=(3, units), initializer="zeros", name="peephole")
        self.bias = self.add_weight(shape=(4 * units,), initializer=_forget_bias_one, name="bias")

    def call(self, inputs, states):
        """See the class."""
        state, cell = states
        sums = ops.matmul(inputs, self.kernel) + ops.matmul(state, self.recurrent_kernel) + self.bias
        to_input, to_forget, to_cell, to_output = ops.split(sums, 4, axis=-1)
        peek_input, peek_forget, peek_output = self.peephole[0], self.peephole[1], self.peephole[2]
        new_cell = ops.sigmoid(to_forget + peek_forget * cell) * cell
        new_cell = new_cell + ops.sigmoid(to_input + peek_input * cell) * ops.tanh(to_cell)
        new_state = ops.sigmoid(to_output + peek_output * new_cell) * ops.tanh(new_cell)
        return new_state, [new_state, new_cell]

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "units": self.units}


def _forget_bias_one(shape, dtype=None):
    units = shape[0] // 4
    return ops.concatenate(
        [ops.zeros((units,), dtype), ops.ones((units,), dtype), ops.zeros((2 * units,), dtype)]
    )


def peephole_lstm_layer(units, *, name):
    """One layer of `PeepholeLSTMCell`: (batch, time, size) → (batch, time, units).

    Paper: §LSTM.
    """
    return keras.layers.RNN(PeepholeLSTMCell(units, name="cell"), return_sequences=True, name=name)

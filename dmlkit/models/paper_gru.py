"""The GRU by the paper's letter."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="dmlkit")
class PaperGRUCell(keras.layers.Layer):
    """One step of the paper's GRU: no bias, the reset before the product, z_t the share of the new.

        r_t = σ(W_r [h_{t-1}, x_t]);  z_t = σ(W_z [h_{t-1}, x_t])
        ĥ_t = tanh(W_ĥ [r_t ∗ h_{t-1}, x_t]);  h_t = (1 - z_t) ∗ h_{t-1} + z_t ∗ ĥ_t

    Keras writes the same cell (`reset_after=False`, no bias) with z and 1 - z exchanged.

    Args:
        units: Size of the state.

    Call arguments: `inputs` (batch, size), `states` [(batch, units)]. Returns the state twice, the second
    time in a list. Weights: `kernel` (size, 3 * units) and `recurrent_kernel` (units, 3 * units), the columns
    for r, z, ĥ in this order.

    Paper: §Bi-GRU.
    """

    def __init__(self, units, **keras_arguments):
        super().__init__(**keras_arguments)
        self.units = units
        self.state_size = units
        self.output_size = units

    def build(self, inputs_shape):
        """See the class."""
        self.kernel = self.add_weight(
            shape=(inputs_shape[-1], 3 * self.units), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 3 * self.units), initializer="orthogonal", name="recurrent_kernel"
        )

    def call(self, inputs, states):
        """See the class."""
        state, units = states[0], self.units
        from_inputs = ops.matmul(inputs, self.kernel)
        from_state = ops.matmul(state, self.recurrent_kernel[:, : 2 * units])
        gates = ops.sigmoid(from_inputs[:, : 2 * units] + from_state)
        reset, update = gates[:, :units], gates[:, units:]
        recurrent = ops.matmul(reset * state, self.recurrent_kernel[:, 2 * units :])
        candidate = ops.tanh(from_inputs[:, 2 * units :] + recurrent)
        new_state = (1.0 - update) * state + update * candidate
        return new_state, [new_state]

    def get_config(self):
        """See the class."""
        return {**super().get_config(), "units": self.units}


def paper_gru_layer(units, *, name):
    """One layer of `PaperGRUCell`: (batch, time, size) → (batch, time, units).

    Paper: §Bi-GRU.
    """
    return keras.layers.RNN(PaperGRUCell(units, name="cell"), return_sequences=True, name=name)

"""Recurrent layers: Keras's LSTM and GRU with a faster loop, the paper's own cells, and the SRU.

`LSTM` and `GRU` have the weights, names and numbers of `keras.layers.LSTM` and `GRU`, and like them try cuDNN (and
whatever else the backend has) first; the loop here is what they fall back on. Keras's own loop multiplies by the
inputs and by the state in each step, and its gradient adds up both kernels' gradients step by step. Here all steps'
inputs meet their kernel in one product before the loop, and each kernel's gradient is one product after it; the loop
keeps what depends on the step before:

    forward    state_t = step(projected_t, state_{t-1} · R)        a product a step
    backward   d_{t-1} = (d_t ∗ factor_t) · Rᵀ                     a product a step, the factors made before
    after      dR = [state_0 ... state_{T-1}]ᵀ [δ_1 ... δ_T]       one product
"""

import keras
from keras import ops


@ops.custom_gradient
def lstm_states(projected, recurrent_kernel, state, cell):
    """An LSTM's states h_t (time, batch, units), from h_0 `state` and c_0 `cell` (batch, units).

    `projected` (time, batch, 4 * units) is x_t W + b; its columns and the kernel's are for i, f, c, o in this order.
    """

    def forward(carried, projected_t):
        h, c, _ = carried
        i, f, g, o = ops.split(projected_t + ops.matmul(h, recurrent_kernel), 4, axis=-1)
        i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
        c = f * c + i * g
        new = (o * ops.tanh(c), c, ops.concatenate([i, f, g, o], axis=-1))
        return new, new

    _, (states, cells, gates) = ops.scan(forward, (state, cell, ops.zeros_like(projected[0])), projected)

    def gradients(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        i, f, g, o = ops.split(gates, 4, axis=-1)
        tanh_cells = ops.tanh(cells)
        to_i, to_f = g * i * (1 - i), _previous(cells, cell) * f * (1 - f)
        to_gates = ops.concatenate([to_i, to_f, i * (1 - g * g), tanh_cells * o * (1 - o)], axis=-1)
        to_cell = o * (1 - tanh_cells * tanh_cells)
        transposed = ops.transpose(recurrent_kernel)

        def backward(carried, factors):
            dh, dc, _ = carried
            upstream_t, to_cell_t, f_t, to_gates_t = _split(factors, units, 3)
            dh = dh + upstream_t
            dc = dc + dh * to_cell_t
            dz = ops.concatenate([dc, dc, dc, dh], axis=-1) * to_gates_t
            new = (ops.matmul(dz, transposed), dc * f_t, dz)
            return new, new

        zero, units = ops.zeros_like(state), state.shape[-1]
        carried = (zero, zero, ops.zeros_like(projected[0]))
        # One tensor: with several, Keras's scan on TensorFlow fails on an unknown number of steps.
        factors = ops.concatenate([upstream, to_cell, f, to_gates], axis=-1)
        (d_state, d_cell, _), (_, _, d_projected) = ops.scan(backward, carried, factors, reverse=True)
        return d_projected, _outer_sum(_previous(states, state), d_projected), d_state, d_cell

    return states, gradients


@ops.custom_gradient
def gru_states(projected, recurrent_kernel, recurrent_bias, state):
    """A GRU's states h_t (time, batch, units), the reset after the product, from h_0 `state` (batch, units).

    `projected` (time, batch, 3 * units) is x_t W + b; its columns and the kernel's are for z, r, h in this order.
    """

    def forward(carried, projected_t):
        h, _ = carried
        x_z, x_r, x_h = ops.split(projected_t, 3, axis=-1)
        h_z, h_r, h_h = ops.split(ops.matmul(h, recurrent_kernel) + recurrent_bias, 3, axis=-1)
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
        previous = _previous(states, state)
        to_candidate = (1 - z) * (1 - candidate * candidate)
        to_update = (previous - candidate) * z * (1 - z)
        to_reset = to_candidate * h_h * r * (1 - r)
        to_products = ops.concatenate([to_update, to_reset, to_candidate * r], axis=-1)
        transposed = ops.transpose(recurrent_kernel)

        def backward(carried, factors):
            dh, _ = carried
            upstream_t, z_t, to_products_t = _split(factors, units, 2)
            dh = dh + upstream_t
            products = ops.concatenate([dh, dh, dh], axis=-1) * to_products_t
            new = (ops.matmul(products, transposed) + dh * z_t, dh)
            return new, new

        zero = ops.zeros_like(state)
        factors = ops.concatenate([upstream, z, to_products], axis=-1)
        (d_state, _), (_, dh) = ops.scan(backward, (zero, zero), factors, reverse=True)
        d_products = ops.concatenate([dh, dh, dh], axis=-1) * to_products
        # The inputs' share of the candidate is not reset: there the factor r is missing.
        d_projected = ops.concatenate([d_products[..., : 2 * units], dh * to_candidate], axis=-1)
        return d_projected, _outer_sum(previous, d_products), ops.sum(d_products, axis=(0, 1)), d_state

    return states, gradients


def _split(joined, units, count):
    """The first `count` tensors of `units` columns each, and the rest."""
    first = (joined[..., i * units : (i + 1) * units] for i in range(count))
    return *first, joined[..., count * units :]


def _previous(states, first):
    """(time, batch, size) → the same a step earlier, `first` (batch, size) at the first step."""
    return ops.concatenate([first[None], states[:-1]], axis=0)


def _outer_sum(states, gradients):
    """Σ over steps and videos of stateᵀ gradient: (units, columns)."""
    rows = ops.transpose(ops.reshape(states, (-1, states.shape[-1])))
    return ops.matmul(rows, ops.reshape(gradients, (-1, gradients.shape[-1])))


class _FastLoop(keras.layers.RNN):
    """Between Keras's layer and its `RNN`: the `inner_loop` the layer falls back on."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if mask is not None or not self._has_default_settings():
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)
        steps_first = ops.transpose(ops.cast(sequences, self.compute_dtype), (1, 0, 2))
        if not isinstance(initial_state, list | tuple):
            initial_state = [initial_state]
        outputs = ops.transpose(self._states(steps_first, *initial_state), (1, 0, 2))
        return outputs[:, -1], outputs, []

    def _has_default_settings(self):
        """Whether the layer is as the encoders make it; any other takes Keras's loop."""
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
class LSTM(keras.layers.LSTM, _FastLoop):
    """`keras.layers.LSTM`, faster without cuDNN. Paper: §LSTM, without peepholes, which cuDNN lacks."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        # JAX's cuDNN operation has no 16-bit form, and fails only when it is compiled, too late for Keras to fall back.
        if keras.backend.backend() == "jax" and self.compute_dtype != "float32":
            return _FastLoop.inner_loop(self, sequences, initial_state, mask, training=training)
        return super().inner_loop(sequences, initial_state, mask, training=training)

    def _states(self, inputs, state, cell):
        projected = ops.matmul(inputs, self.cell.kernel) + self.cell.bias
        return lstm_states(projected, _tensor(self.cell.recurrent_kernel), state, cell)


@keras.saving.register_keras_serializable(package="dmlkit")
class GRU(keras.layers.GRU, _FastLoop):
    """`keras.layers.GRU`, faster without cuDNN. Paper: §Bi-GRU, with a bias and the reset after the product."""

    def _states(self, inputs, state):
        input_bias, recurrent_bias = self.cell.bias[0], self.cell.bias[1]
        projected = ops.matmul(inputs, self.cell.kernel) + input_bias
        return gru_states(projected, _tensor(self.cell.recurrent_kernel), recurrent_bias, state)


def _tensor(weight):
    # A custom gradient needs tensors, not variables, for what it differentiates.
    return ops.reshape(weight, weight.shape)


class _SizedLayer(keras.layers.Layer):
    """A layer, or a cell for `keras.layers.RNN`, of so many units."""

    num_states = 1

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.output_size = units
        self.state_size = [units] * self.num_states

    def _matrix(self, name, size, columns):
        initializer = "orthogonal" if name == "recurrent_kernel" else "glorot_uniform"
        return self.add_weight(shape=(size, columns), initializer=initializer, name=name)


@keras.saving.register_keras_serializable(package="dmlkit")
class PeepholeLSTMCell(_SizedLayer):
    """One step of an LSTM whose gates see the cell.

        i_t = σ(W_xi x_t + W_hi h_{t-1} + W_ci c_{t-1} + b_i)
        f_t = σ(W_xf x_t + W_hf h_{t-1} + W_cf c_{t-1} + b_f)
        c_t = f_t ∗ c_{t-1} + i_t ∗ tanh(W_xc x_t + W_hc h_{t-1} + b_c)
        o_t = σ(W_xo x_t + W_ho h_{t-1} + W_co c_t + b_o)
        h_t = o_t ∗ tanh(c_t)

    W_ci, W_cf and W_co are diagonal, the rows of `peephole`, and start at zero, so training begins at the standard
    LSTM; b_f starts at 1. The columns of `kernel`, `recurrent_kernel` and `bias` are for i, f, c, o in this order.

    Paper: §LSTM.
    """

    num_states = 2

    def build(self, inputs_shape):
        units = self.units
        self.kernel = self._matrix("kernel", inputs_shape[-1], 4 * units)
        self.recurrent_kernel = self._matrix("recurrent_kernel", units, 4 * units)
        self.peephole = self.add_weight(shape=(3, units), initializer="zeros", name="peephole")
        self.bias = self.add_weight(shape=(4 * units,), initializer=_forget_bias_one, name="bias")

    def call(self, inputs, states):
        state, cell = states
        sums = ops.matmul(inputs, self.kernel) + ops.matmul(state, self.recurrent_kernel) + self.bias
        to_input, to_forget, to_cell, to_output = ops.split(sums, 4, axis=-1)
        peek_input, peek_forget, peek_output = self.peephole[0], self.peephole[1], self.peephole[2]
        new_cell = ops.sigmoid(to_forget + peek_forget * cell) * cell
        new_cell = new_cell + ops.sigmoid(to_input + peek_input * cell) * ops.tanh(to_cell)
        new_state = ops.sigmoid(to_output + peek_output * new_cell) * ops.tanh(new_cell)
        return new_state, [new_state, new_cell]


def _forget_bias_one(shape, dtype=None):
    zeros, ones = ops.zeros((shape[0] // 4,), dtype), ops.ones((shape[0] // 4,), dtype)
    return ops.concatenate([zeros, ones, zeros, zeros])


@keras.saving.register_keras_serializable(package="dmlkit")
class PaperGRUCell(_SizedLayer):
    """One step of the paper's GRU: no bias, the reset before the product, z_t the share of the new.

        r_t = σ(W_r [h_{t-1}, x_t]);  z_t = σ(W_z [h_{t-1}, x_t])
        ĥ_t = tanh(W_ĥ [r_t ∗ h_{t-1}, x_t]);  h_t = (1 - z_t) ∗ h_{t-1} + z_t ∗ ĥ_t

    Keras writes the same cell (`reset_after=False`, no bias) with z and 1 - z exchanged. The columns of `kernel` and
    `recurrent_kernel` are for r, z, ĥ in this order.

    Paper: §Bi-GRU.
    """

    def build(self, inputs_shape):
        self.kernel = self._matrix("kernel", inputs_shape[-1], 3 * self.units)
        self.recurrent_kernel = self._matrix("recurrent_kernel", self.units, 3 * self.units)

    def call(self, inputs, states):
        state, units = states[0], self.units
        from_inputs = ops.matmul(inputs, self.kernel)
        from_state = ops.matmul(state, self.recurrent_kernel[:, : 2 * units])
        gates = ops.sigmoid(from_inputs[:, : 2 * units] + from_state)
        reset, update = gates[:, :units], gates[:, units:]
        recurrent = ops.matmul(reset * state, self.recurrent_kernel[:, 2 * units :])
        candidate = ops.tanh(from_inputs[:, 2 * units :] + recurrent)
        new_state = (1.0 - update) * state + update * candidate
        return new_state, [new_state]


@ops.custom_gradient
def sru_cells(candidates, sums, peephole, cell):
    """An SRU's cells (time, batch, units): the one part of it that depends on the step before.

        f_t = σ(sums_t + v ∗ c_{t-1});  c_t = f_t ∗ c_{t-1} + (1 - f_t) ∗ x̃_t
        d_{t-1} = d_t ∗ (f_t + v ∗ (c_{t-1} - x̃_t) ∗ f_t ∗ (1 - f_t))

    `candidates` x̃_t and `sums` W_f x_t + b_f are (time, batch, units), `peephole` v (units,), c_0 (batch, units).
    """
    units = cell.shape[-1]

    def forward(c, step):
        forget = ops.sigmoid(step[..., units:] + peephole * c)
        c = forget * c + (1 - forget) * step[..., :units]
        return c, c

    # One tensor: with several, Keras's scan on TensorFlow fails on an unknown number of steps.
    _, cells = ops.scan(forward, cell, ops.concatenate([candidates, sums], axis=-1))

    def gradients(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        previous = _previous(cells, cell)
        forget = ops.sigmoid(sums + peephole * previous)
        to_sums = (previous - candidates) * forget * (1 - forget)

        def backward(carried, step):
            d_cell = carried[..., :units] + step[..., :units]
            new = ops.concatenate([d_cell * step[..., units:], d_cell], axis=-1)
            return new, new

        carried = ops.concatenate([ops.zeros_like(cell)] * 2, axis=-1)
        factors = ops.concatenate([upstream, forget + peephole * to_sums], axis=-1)
        last, steps = ops.scan(backward, carried, factors, reverse=True)
        d_cells = steps[..., units:]
        d_sums = d_cells * to_sums
        return d_cells * (1 - forget), d_sums, ops.sum(d_sums * previous, axis=(0, 1)), last[..., :units]

    return cells, gradients


@keras.saving.register_keras_serializable(package="dmlkit")
class SRU(_SizedLayer):
    """One layer of the simple recurrent unit.

        x̃_t = W x_t
        f_t = σ(W_f x_t + v_f ∗ c_{t-1} + b_f);  r_t = σ(W_r x_t + v_r ∗ c_{t-1} + b_r)
        c_t = f_t ∗ c_{t-1} + (1 - f_t) ∗ x̃_t;  h_t = r_t ∗ c_t + (1 - r_t) ∗ x_t

    Where the frames are not of the layer's size, W_x x_t stands for the last x_t. v_f, v_r and the biases start
    at zero.

    The columns of `kernel` are for x̃, f, r and, with the projection, x; the rows of `peephole` are v_f, v_r.

    Paper: §Future work (Lei et al. 2018, §2 and the projection of their code).
    """

    def build(self, frames_shape):
        size, units = frames_shape[-1], self.units
        self.kernel = self._matrix("kernel", size, (3 if size == units else 4) * units)
        self.peephole = self.add_weight(shape=(2, units), initializer="zeros", name="peephole")
        self.bias = self.add_weight(shape=(2 * units,), initializer="zeros", name="bias")

    def call(self, frames):
        units = self.units
        # All steps' products at once: none of them depends on a state.
        frames = ops.transpose(frames, (1, 0, 2))
        products = ops.matmul(frames, self.kernel)
        candidates = products[..., :units]
        sums = products[..., units : 3 * units] + self.bias
        carried = frames if frames.shape[-1] == units else products[..., 3 * units :]
        first = ops.zeros_like(candidates[0])
        cells = sru_cells(candidates, sums[..., :units], self.peephole[0], first)
        reset = ops.sigmoid(sums[..., units:] + self.peephole[1] * _previous(cells, first))
        return ops.transpose(reset * cells + (1 - reset) * carried, (1, 0, 2))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)

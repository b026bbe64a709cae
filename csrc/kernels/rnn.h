// The interface of LSTM and GRU layers: one layer in one direction over all steps.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// All dense. G gates: 4 of an LSTM (in, forget, new, out), 3 of a GRU (reset, update, new), whose
// fourth in `gates` is what the hidden state gives to the new value, before the reset.
struct RnnArgs {
  bool f64, gru, backwards;
  int64_t steps, batch, hidden;
  const void *projected, *h0, *c0;  // [steps, batch, G * hidden]; [batch, hidden]
  const void *weight, *bias;        // [G * hidden, hidden]; [G * hidden] or null
  const void* packed;               // the weight as rnn_pack_kernel left it, or null
  void *out, *cells;                // [steps, batch, hidden]
  void* gates;                      // [steps, batch, 4 * hidden], after their functions
  // The backward pass reads the three results and their gradients, null where there are none.
  const void *g_out, *g_cells, *g_gates;
  void *d_projected, *d_hidden;  // the same of an LSTM: of what the input and the state give
  void *d_h0, *d_c0;
};
inline Kernel<void(const RnnArgs&)> rnn_kernel{"rnn"};
inline Kernel<void(const RnnArgs&)> rnn_backward_kernel{"rnn's gradient"};
// Sets the size of the form in which few sequences read the weight in all their steps, 0 where
// there is none; where `to` is given, makes it.
inline Kernel<void(const RnnArgs&, void* to, int64_t* bytes)> rnn_pack_kernel{"rnn"};

}  // namespace flambeau

// LSTM and GRU layers over whole sequences; nn/modules/rnn.py makes layers and directions of them.
#include "../kernels/rnn.h"

#include "../packs.h"
#include "expression.h"

namespace flambeau {
namespace {

const OpCall call_select("select"), call_stack("stack"), call_cat("cat"), call_sum("sum"),
    call_matmul("matmul"), call_transpose("transpose"), call_reshape("reshape"),
    call_narrow("narrow"), call_unsqueeze("unsqueeze"), call_zeros_like("zeros_like");

void* memory(const Tensor& t) { return t.defined() ? t.data() : nullptr; }
Tensor dense(const Tensor& t) { return t.defined() ? t.contiguous_raw() : t; }

void check_inputs(const Tensor& x, const Tensor& h0, const Tensor& c0, const Tensor& w,
                  const Tensor& bias, int64_t gates, const char* op) {
  check(x.dtype() == DType::float32 || x.dtype() == DType::float64, op,
        "(): expected float32 or float64, got ", x.dtype());
  const bool shaped = x.dim() == 3 && h0.dim() == 2 && w.dim() == 2 &&
                      x.sizes()[1] == h0.sizes()[0] && w.sizes()[1] == h0.sizes()[1] &&
                      w.sizes()[0] == gates * h0.sizes()[1] && x.sizes()[2] == w.sizes()[0];
  check(shaped, op, "(): an input of shape ", x.sizes(), ", a state of shape ", h0.sizes(),
        " and weights of shape ", w.sizes(), " do not fit");
  check(!c0.defined() || c0.sizes() == h0.sizes(), op, "(): states of different shapes");
  check(!bias.defined() || (bias.dim() == 1 && bias.numel() == w.sizes()[0]), op,
        "(): expected a bias of ", w.sizes()[0], " numbers, got shape ",
        bias.defined() ? bias.sizes() : Ints());
  for (const Tensor& t : {h0, c0, w, bias})
    check(!t.defined() || (t.dtype() == x.dtype() && t.device() == x.device()), op,
          "(): arguments of different types or devices");
}

RnnArgs arguments(const Tensor& x, const Tensor& h0, const Tensor& c0, const Tensor& w, bool gru,
                  bool backwards) {
  RnnArgs a{};
  a.f64 = x.dtype() == DType::float64, a.gru = gru, a.backwards = backwards;
  a.steps = x.sizes()[0], a.batch = h0.sizes()[0], a.hidden = h0.sizes()[1];
  a.h0 = h0.data(), a.c0 = memory(c0), a.weight = w.data();
  return a;
}

struct Outputs {
  Tensor out, cells, gates;
};

Outputs run(const Tensor& projected, const Tensor& hx, const Tensor& cx, const Tensor& weight,
            const Tensor& bias, bool backwards) {
  const bool gru = !cx.defined();
  check_inputs(projected, hx, cx, weight, bias, gru ? 3 : 4, gru ? "gru" : "lstm");
  const int64_t hidden = hx.sizes()[1];
  const Ints shape{projected.sizes()[0], hx.sizes()[0], hidden};
  Outputs r{empty(shape, projected.options()), gru ? Tensor() : empty(shape, projected.options()),
            empty(Ints{shape[0], shape[1], 4 * hidden}, projected.options())};
  if (projected.is_meta() || r.out.numel() == 0) return r;
  const Tensor x = dense(projected), h0 = dense(hx), c0 = dense(cx), w = dense(weight),
               b = dense(bias);
  RnnArgs a = arguments(x, h0, c0, w, gru, backwards);
  a.projected = x.data(), a.bias = memory(b);
  a.out = r.out.data(), a.cells = memory(r.cells), a.gates = r.gates.data();
  int64_t bytes = 0;
  rnn_pack_kernel(x.device_type(), a, nullptr, &bytes);
  const auto pack = [&](void* to) { rnn_pack_kernel(x.device_type(), a, to, &bytes); };
  const Ref<Storage> kept = kept_pack(Pack::recurrent, 0, w, static_cast<size_t>(bytes), pack);
  if (kept) a.packed = kept->data;
  rnn_kernel(x.device_type(), a);
  return r;
}

std::tuple<Tensor, Tensor, Tensor> lstm(const Tensor& projected, const Tensor& hx, const Tensor& cx,
                                        const Tensor& weight, const Tensor& bias, bool backwards) {
  const Outputs r = run(projected, hx, cx, weight, bias, backwards);
  return {r.out, r.cells, r.gates};
}
std::tuple<Tensor, Tensor> gru(const Tensor& projected, const Tensor& hx, const Tensor& weight,
                               const Tensor& bias, bool backwards) {
  const Outputs r = run(projected, hx, Tensor(), weight, bias, backwards);
  return {r.out, r.gates};
}

// -- gradients ------------------------------------------------------------------------------------
struct Saved {
  Tensor h0, c0, w, out, cells, gates;
  Tensor g_out, g_cells, g_gates;
  bool backwards;
};
struct Gradients {
  Tensor projected, hidden, h0, c0;
};

Gradients fused(const Saved& s) {
  const bool gru = !s.c0.defined();
  const Tensor h0 = dense(s.h0), c0 = dense(s.c0), w = dense(s.w), g_out = dense(s.g_out),
               g_cells = dense(s.g_cells), g_gates = dense(s.g_gates);
  const Ints shape{s.out.sizes()[0], s.out.sizes()[1], w.sizes()[0]};
  Gradients r;
  r.projected = empty(shape, w.options());
  r.hidden = gru ? empty(shape, w.options()) : r.projected;
  r.h0 = empty(h0.sizes(), w.options());
  if (!gru) r.c0 = empty(h0.sizes(), w.options());
  if (w.is_meta() || s.out.numel() == 0) return r;
  RnnArgs a = arguments(s.out, h0, c0, w, gru, s.backwards);
  a.out = s.out.data(), a.cells = memory(s.cells), a.gates = s.gates.data();
  a.g_out = memory(g_out), a.g_cells = memory(g_cells), a.g_gates = memory(g_gates);
  a.d_projected = r.projected.data(), a.d_hidden = r.hidden.data();
  a.d_h0 = r.h0.data(), a.d_c0 = memory(r.c0);
  rnn_backward_kernel(w.device_type(), a);
  return r;
}

// The same made of recorded operators, to differentiate again.
Gradients recorded(const Saved& s) {
  const bool gru = !s.c0.defined();
  const int64_t steps = s.out.sizes()[0], h = s.h0.sizes()[1], last = -1;
  TensorList projected(static_cast<size_t>(steps)), hidden(static_cast<size_t>(steps));
  Tensor dh = call_zeros_like(s.h0), dc = dh;
  for (int64_t i = steps - 1; i >= 0; --i) {
    const int64_t t = s.backwards ? steps - 1 - i : i, u = s.backwards ? t + 1 : t - 1;
    const auto step = [&](const Tensor& all) { return call_select(all, int64_t{0}, t); };
    const auto before = [&](const Tensor& all, const Tensor& first) {
      return i == 0 ? first : call_select(all, int64_t{0}, u);
    };
    const auto part = [&](const Tensor& all, int64_t k) {
      return call_narrow(step(all), last, k * h, h);
    };
    const auto plus = [&](const Tensor& x, int64_t k) {
      return s.g_gates.defined() ? x + part(s.g_gates, k) : x;
    };
    const Tensor g0 = part(s.gates, 0), g1 = part(s.gates, 1), g2 = part(s.gates, 2),
                 g3 = part(s.gates, 3);
    const Tensor out = s.g_out.defined() ? dh + step(s.g_out) : dh;
    Tensor d, dx;
    if (gru) {
      const Tensor d2 = plus(out * (1.0 - g1), 2) * (1.0 - g2 * g2);
      const Tensor d0 = plus(d2 * g3, 0) * g0 * (1.0 - g0);
      const Tensor d1 = plus(out * (before(s.out, s.h0) - g2), 1) * g1 * (1.0 - g1);
      dx = call_cat(TensorList{d0, d1, d2}, last);
      d = call_cat(TensorList{d0, d1, plus(d2 * g0, 3)}, last);
      dh = call_matmul(d, s.w) + out * g1;
    } else {
      const Tensor y = tanh(step(s.cells));
      Tensor c = dc + out * g3 * (1.0 - y * y);
      if (s.g_cells.defined()) c = c + step(s.g_cells);
      d = call_cat(
          TensorList{plus(c * g2, 0) * g0 * (1.0 - g0),
                     plus(c * before(s.cells, s.c0), 1) * g1 * (1.0 - g1),
                     plus(c * g0, 2) * (1.0 - g2 * g2), plus(out * y, 3) * g3 * (1.0 - g3)},
          last);
      dx = d;
      dh = call_matmul(d, s.w);
      dc = c * g1;
    }
    projected[static_cast<size_t>(t)] = dx, hidden[static_cast<size_t>(t)] = d;
  }
  Gradients r{call_stack(projected, int64_t{0}), Tensor(), dh, gru ? Tensor() : dc};
  r.hidden = gru ? call_stack(hidden, int64_t{0}) : r.projected;
  return r;
}

void set_gradients(Backward& b, const Saved& s, int weight) {
  const Gradients r = modes().grad ? recorded(s) : fused(s);
  if (b.needs(0)) b.set(0, r.projected);
  if (b.needs(1)) b.set(1, r.h0);
  if (weight == 3 && b.needs(2)) b.set(2, r.c0);
  const int64_t steps = s.out.sizes()[0];
  if (b.needs(weight)) {
    const Tensor rest = call_narrow(s.out, int64_t{0}, int64_t{s.backwards}, steps - 1);
    const Tensor first = call_unsqueeze(s.h0, int64_t{0});
    const Tensor states =
        call_cat(s.backwards ? TensorList{rest, first} : TensorList{first, rest}, int64_t{0});
    const auto flat = [](const Tensor& t) { return call_reshape(t, Ints{-1, t.sizes()[2]}); };
    b.set(weight,
          call_matmul(call_transpose(flat(r.hidden), int64_t{0}, int64_t{1}), flat(states)));
  }
  if (b.has(weight + 1) && b.needs(weight + 1)) b.set(weight + 1, call_sum(r.hidden, Ints{0, 1}));
}

void lstm_back(Backward& b) {
  set_gradients(b,
                {b.in(1), b.in(2), b.in(3), b.out(0), b.out(1), b.out(2), b.grad(0), b.grad(1),
                 b.grad(2), b.arg(5).as_bool()},
                3);
}
void gru_back(Backward& b) {
  set_gradients(b,
                {b.in(1), Tensor(), b.in(2), b.out(0), Tensor(), b.out(1), b.grad(0), Tensor(),
                 b.grad(1), b.arg(4).as_bool()},
                2);
}

}  // namespace

FLAMBEAU_OPS({
    {.schema = "_lstm(Tensor projected, Tensor hx, Tensor cx, Tensor weight, Tensor? bias, "
               "bool backwards) -> (Tensor, Tensor, Tensor)",
     .forward = native<lstm>,
     .backward = lstm_back,
     .saves = "hx, cx, weight, result0, result1, result2",
     .flags = kInternal,
     .node = "LstmBackward0",
     .doc = "One layer of an LSTM in one direction: outputs, cells and gates of every step."},
    {.schema = "_gru(Tensor projected, Tensor hx, Tensor weight, Tensor? bias, bool backwards) -> "
               "(Tensor, Tensor)",
     .forward = native<gru>,
     .backward = gru_back,
     .saves = "hx, weight, result0, result1",
     .flags = kInternal,
     .node = "GruBackward0",
     .doc = "One layer of a GRU in one direction: outputs and gates of every step."},
});

}  // namespace flambeau

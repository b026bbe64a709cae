// Attention without a matrix of queries by keys; nn/functional/_basic.py has what surrounds it.
#include "../kernels/attention.h"

#include <limits>

#include "expression.h"

namespace flambeau {
namespace {

const OpCall call_matmul("matmul"), call_transpose("transpose"), call_softmax("softmax"),
    call_sum("sum"), call_triu("triu"), call_masked_fill("masked_fill"), call_to("to");

DType work_of(DType t) { return t == DType::float64 ? t : DType::float32; }

// As the kernels read it: rows of consecutive numbers.
Tensor rows(const Tensor& t, DType work) {
  const Tensor x = t.to_raw(work);
  return x.sizes()[3] <= 1 || x.strides()[3] == 1 ? x : x.contiguous_raw();
}
HeadsArg heads(const Tensor& t) {
  return {t.data(), t.strides()[0], t.strides()[1], t.strides()[2]};
}
// [batch, heads, length, width], the heads of a row side by side: what comes after attention
// puts them together, and that is then a view.
Tensor empty_heads(const Ints& sizes, const Options& options) {
  const int64_t h = sizes[1], l = sizes[2], w = sizes[3];
  return empty_strided(sizes, Ints{l * h * w, w, h * w, 1}, options);
}

void check_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
  const char* op = "scaled_dot_product_attention";
  check(is_floating(q.dtype()), op, "(): expected floating point, got ", q.dtype());
  check(q.dim() == 4 && k.dim() == 4 && v.dim() == 4, op, "(): expected 4 dimensions");
  const Ints &a = q.sizes(), &b = k.sizes(), &c = v.sizes();
  check(
      a[0] == b[0] && a[1] == b[1] && a[3] == b[3] && c[0] == b[0] && c[1] == b[1] && c[2] == b[2],
      op, "(): query, key and value of shapes ", a, ", ", b, " and ", c, " do not fit");
  for (const Tensor& t : {k, v, mask})
    check(!t.defined() || (t.dtype() == q.dtype() && t.device() == q.device()), op,
          "(): arguments of different types or devices");
  if (!mask.defined()) return;
  const Ints wanted{a[0], a[1], a[2], b[2]};
  check(mask.dim() == 4, op, "(): expected a mask of 4 dimensions");
  for (size_t d = 0; d < 4; ++d)
    check(mask.sizes()[d] == wanted[d] || mask.sizes()[d] == 1, op, "(): a mask of shape ",
          mask.sizes(), " does not fit scores of shape ", wanted);
}

struct Call {
  AttentionArgs a{};
  Tensor q, k, v, mask;  // kept alive

  Call(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& addend,
       bool causal, double scale, DType type)
      : q(rows(query, type)), k(rows(key, type)), v(rows(value, type)) {
    a.f64 = type == DType::float64, a.causal = causal, a.scale = scale;
    a.batch = q.sizes()[0], a.heads = q.sizes()[1], a.queries = q.sizes()[2];
    a.keys = k.sizes()[2], a.width = q.sizes()[3], a.value_width = v.sizes()[3];
    a.q = heads(q), a.k = heads(k), a.v = heads(v);
    if (!addend.defined()) return;
    mask = rows(addend, work_of(type));
    a.mask = mask.data();
    for (int d = 0; d < 4; ++d) a.mask_step[d] = mask.sizes()[d] == 1 ? 0 : mask.strides()[d];
    if (a.keys == 1) a.mask_step[3] = 0;
  }
};

// Whether the kernel reads q as it is.
bool in_pairs(const Tensor& q, const Tensor& v) {
  bool fits = false;
  AttentionArgs a{};
  a.width = q.sizes()[3], a.value_width = v.sizes()[3];
  if (q.dtype() == DType::bfloat16) attention_pairs_kernel(q.device_type(), a, &fits);
  return fits;
}

std::tuple<Tensor, Tensor> attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const Tensor& mask, bool causal, double scale) {
  check_inputs(q, k, v, mask);
  const bool pairs = in_pairs(q, v);
  const DType work = work_of(q.dtype()), type = pairs ? q.dtype() : work;
  const Ints& a = q.sizes();
  Tensor out = empty_heads(Ints{a[0], a[1], a[2], v.sizes()[3]}, q.options(type));
  Tensor logsum = empty(Ints{a[0], a[1], a[2]}, q.options(work));
  if (!q.is_meta() && logsum.numel() > 0) {
    Call c(q, k, v, mask, causal, scale, type);
    c.a.out = heads(out), c.a.logsum = logsum.data();
    if (pairs)
      attention_pairs_kernel(q.device_type(), c.a, nullptr);
    else
      attention_kernel(q.device_type(), c.a);
  }
  return {out.to_raw(q.dtype()), logsum};
}

struct Gradients {
  Tensor q, k, v;
};

Gradients fused(Backward& b) {
  const Tensor q = b.in(0), logsum = b.out(1);
  const DType work = work_of(q.dtype());
  Call c(q, b.in(1), b.in(2), b.has(3) ? b.in(3) : Tensor(), b.arg(4).as_bool(),
         b.arg(5).as_double(), work);
  const Tensor out = rows(b.out(0), work), g = rows(b.grad(), work);
  const Options options = q.options(work);
  Gradients r{empty_heads(c.q.sizes(), options), empty_heads(c.k.sizes(), options),
              empty_heads(c.v.sizes(), options)};
  if (!q.is_meta() && r.k.numel() + r.v.numel() + r.q.numel() > 0) {
    c.a.out = heads(out), c.a.g = heads(g), c.a.logsum = logsum.data();
    c.a.dq = heads(r.q), c.a.dk = heads(r.k), c.a.dv = heads(r.v);
    attention_backward_kernel(q.device_type(), c.a);
  }
  return {r.q.to_raw(q.dtype()), r.k.to_raw(q.dtype()), r.v.to_raw(q.dtype())};
}

// The same made of recorded operators, to differentiate again.
Gradients recorded(Backward& b) {
  const Tensor q = b.in(0), k = b.in(1), v = b.in(2), g = b.grad();
  const double scale = b.arg(5).as_double();
  const int64_t last = -1, before = -2;
  const auto turned = [&](const Tensor& t) { return call_transpose(t, before, last); };
  Tensor s = call_matmul(q * scale, turned(k));
  if (b.has(3)) s = s + b.in(3);
  if (b.arg(4).as_bool()) {
    const Tensor ones = zeros(Ints{q.sizes()[2], k.sizes()[2]}, q.options()) + 1.0;
    s = call_masked_fill(s, call_triu(ones, int64_t{1}) != Tensor(zeros(Ints{}, q.options())),
                         -std::numeric_limits<double>::infinity());
  }
  Tensor p = call_softmax(s, last);
  p = call_masked_fill(p, p != p, 0.0);  // rows whose every key is hidden
  const Tensor e = call_matmul(g, turned(v));
  const Tensor d = p * (e - call_sum(e * p, Ints{-1}, true)) * scale;
  return {call_matmul(d, k), call_matmul(turned(d), q), call_matmul(turned(p), g)};
}

void attention_back(Backward& b) {
  const Gradients r = modes().grad ? recorded(b) : fused(b);
  b.set(0, r.q);
  b.set(1, r.k);
  b.set(2, r.v);
}

}  // namespace

FLAMBEAU_OPS({
    {.schema = "_attention(Tensor query, Tensor key, Tensor value, Tensor? mask, bool causal, "
               "float scale) -> (Tensor, Tensor)",
     .forward = native<attention>,
     .backward = attention_back,
     .saves = "query, key, value, mask, result0, result1",
     .flags = kInternal,
     .node = "ScaledDotProductFlashAttentionForCpuBackward0",
     .doc = "Attention of heads, and the logarithms of their sums of exponentials."},
});

}  // namespace flambeau

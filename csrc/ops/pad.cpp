// Padding: the inside is copied once, then the edges are filled, or copied from the inside line by
// line. The gradient of constant padding is padding by the negative; that of the other modes adds
// the lines of the edges to where they came from.
#include <algorithm>

#include "../op.h"

namespace flambeau {
namespace {

struct Side {  // of one dimension
  int64_t before, after;
};

std::vector<Side> sides_of(const Tensor& x, const Ints& pad) {
  check(pad.size() % 2 == 0, "Length of pad must be even but instead it equals ", pad.size());
  const auto n = static_cast<size_t>(x.dim()), dims = pad.size() / 2;
  check(dims <= n, "Length of pad should be no more than twice the number of dimensions of the ",
        "input. Pad length is ", pad.size(), " while the input has ", n, " dimensions.");
  std::vector<Side> sides(n, {0, 0});
  for (size_t i = 0; i < dims; ++i) sides[n - 1 - i] = {pad[2 * i], pad[2 * i + 1]};
  return sides;
}

// In the order that x is in.
Tensor empty_of(const Tensor& x, const Ints& sizes) {
  const bool last =
      !x.is_contiguous() && ((x.dim() == 4 && x.is_contiguous(MemoryFormat::channels_last)) ||
                             (x.dim() == 5 && x.is_contiguous(MemoryFormat::channels_last_3d)));
  return last ? empty_strided(sizes, channels_last_strides(sizes), x.options())
              : empty(sizes, x.options());
}

Tensor narrowed(const Tensor& t, size_t d, int64_t start, int64_t n) {
  Ints sizes = t.sizes();
  sizes[d] = n;
  return t.as_strided_raw(sizes, t.strides(), t->offset + start * t.strides()[d]);
}

// The parts of two tensors that show the same numbers: what of x stays, and where in y it goes.
std::pair<Tensor, Tensor> inside(const Tensor& x, const Tensor& y, const std::vector<Side>& sides) {
  Tensor from = x, to = y;
  for (size_t d = 0; d < sides.size(); ++d) {
    const auto [before, after] = sides[d];
    const int64_t start = std::max<int64_t>(-before, 0);
    const int64_t n = x.sizes()[d] - start - std::max<int64_t>(-after, 0);
    from = narrowed(from, d, start, n);
    to = narrowed(to, d, std::max<int64_t>(before, 0), n);
  }
  return {from, to};
}

Tensor constant_pad(const Tensor& input, const Ints& pad, const Scalar& value) {
  const std::vector<Side> sides = sides_of(input, pad);
  Ints sizes = input.sizes();
  for (size_t d = 0; d < sides.size(); ++d) {
    const auto [before, after] = sides[d];
    const int64_t kept = sizes[d] + std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0);
    sizes[d] += before + after;
    check(sizes[d] >= 0 && kept >= 0, "The input size ", input.sizes()[d],
          ", plus negative padding ", before, " and ", after,
          " resulted in a negative output size, which is invalid. Check dimension ", d,
          " of your input.");
  }
  Tensor out = empty_of(input, sizes);
  if (out.is_meta() || !out.numel()) return out;
  for (size_t d = 0; d < sides.size(); ++d) {
    const auto [before, after] = sides[d];
    if (before > 0) fill(narrowed(out, d, 0, before), value);
    if (after > 0) fill(narrowed(out, d, sizes[d] - after, after), value);
  }
  const auto [from, to] = inside(input, out, sides);
  if (from.numel()) copy(to, from);
  return out;
}

void constant_pad_back(Backward& b) {
  static const OpCall again("constant_pad_nd");
  Ints pad = b.arg(1).as_ints();
  for (int64_t& p : pad) p = -p;
  b.set(0, again(b.grad(), pad));
}

// -- edges made of the inside --------------------------------------------------------------------
enum class Edge : int64_t { reflect, replicate, circular };

// Which line of the inside [0, n) stands at i, outside of it.
int64_t source(Edge mode, int64_t i, int64_t n) {
  if (mode == Edge::replicate) return i < 0 ? 0 : n - 1;
  if (mode == Edge::circular) return i < 0 ? i + n : i - n;
  return i < 0 ? -i : 2 * (n - 1) - i;
}

void check_edges(const Ints& sizes, const std::vector<Side>& sides, Edge mode) {
  for (size_t d = 0; d < sides.size(); ++d) {
    const auto [before, after] = sides[d];
    const int64_t n = sizes[d], most = mode == Edge::reflect ? n - 1 : n;
    if (!before && !after) continue;
    check(before >= 0 && after >= 0 && n > 0 &&
              (mode == Edge::replicate || (before <= most && after <= most)),
          mode == Edge::circular
              ? "Padding value causes wrapping around more than once"
              : "Padding size should be less than the corresponding input dimension",
          ", but got: padding (", before, ", ", after, ") at dimension ", d, " of input ", sizes);
  }
}

// f(line, source line) of every line of the edges of `out`. A dimension's lines reach as far as the
// edges of those after it are done.
template <class F>
void each_edge(const Tensor& out, const Ints& sizes, const std::vector<Side>& sides, Edge mode,
               size_t d, const F& f) {
  Tensor done = out;
  for (size_t k = 0; k < d; ++k) done = narrowed(done, k, sides[k].before, sizes[k]);
  const auto line = [&](int64_t i) { return narrowed(done, d, i + sides[d].before, 1); };
  for (int64_t i = -sides[d].before; i < sizes[d] + sides[d].after; ++i) {
    if (i == 0) i = sizes[d];
    if (i == sizes[d] + sides[d].after) break;
    f(line(i), line(source(mode, i, sizes[d])));
  }
}

Tensor pad_edges(const Tensor& input, const Ints& pad, int64_t mode) {
  const std::vector<Side> sides = sides_of(input, pad);
  const Ints& inner = input.sizes();
  check_edges(inner, sides, static_cast<Edge>(mode));
  Ints sizes = inner;
  for (size_t d = 0; d < sides.size(); ++d) sizes[d] += sides[d].before + sides[d].after;
  Tensor out = empty_of(input, sizes);
  if (out.is_meta() || !out.numel()) return out;
  copy(inside(input, out, sides).second, input);
  for (size_t d = sides.size(); d-- > 0;)
    each_edge(out, inner, sides, static_cast<Edge>(mode), d,
              [](const Tensor& to, const Tensor& from) { copy(to, from); });
  return out;
}

Tensor fold_edges(const Tensor& grad, const Ints& pad, int64_t mode) {
  static const OpCall add("add");
  const std::vector<Side> sides = sides_of(grad, pad);
  Ints sizes = grad.sizes();
  for (size_t d = 0; d < sides.size(); ++d) sizes[d] -= sides[d].before + sides[d].after;
  check_edges(sizes, sides, static_cast<Edge>(mode));
  Tensor out = empty_of(grad, sizes);
  if (out.is_meta() || !out.numel()) return out;
  const NoGrad off;
  Tensor sums = empty_of(grad, grad.sizes());
  copy(sums, grad);
  for (size_t d = 0; d < sides.size(); ++d)
    each_edge(sums, sizes, sides, static_cast<Edge>(mode), d,
              [](const Tensor& from, const Tensor& to) { add.inplace(to, from); });
  copy(out, inside(out, sums, sides).second);
  return out;
}

void pad_edges_back(Backward& b) {
  static const OpCall fold("_fold_edges");
  b.set(0, fold(b.grad(), b.arg(1), b.arg(2)));
}
void fold_edges_back(Backward& b) {
  static const OpCall pad("_pad_edges");
  b.set(0, pad(b.grad(), b.arg(1), b.arg(2)));
}

FLAMBEAU_OPS{
    {.schema = "constant_pad_nd(Tensor input, int[] pad, Scalar value=0) -> Tensor",
     .forward = native<constant_pad>,
     .backward = constant_pad_back,
     .flags = kNoMethod,
     .doc = "The last dimensions with a value before and after: `pad` holds two numbers for each, "
            "the last dimension first. Negative numbers cut off."},
    {.schema = "_pad_edges(Tensor input, int[] pad, int mode) -> Tensor",
     .forward = native<pad_edges>,
     .backward = pad_edges_back,
     .flags = kInternal,
     .node = "PadBackward0",
     .doc = "Padding by the input's own lines: 0 reflected, 1 replicated, 2 circular."},
    {.schema = "_fold_edges(Tensor grad, int[] pad, int mode) -> Tensor",
     .forward = native<fold_edges>,
     .backward = fold_edges_back,
     .flags = kInternal,
     .doc = "The gradient of padding by the input's own lines."},
};

}  // namespace
}  // namespace flambeau

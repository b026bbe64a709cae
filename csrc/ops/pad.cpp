// Padding: every line of the result is a line of the input with its edges filled, or made of it.
// The gradient of constant padding is padding by the negative; that of the other modes adds the
// lines of the edges to where they came from.
#include <algorithm>
#include <cstring>

#include "../op.h"
#include "../parallel.h"

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

// Short lines by registers, the last of which may cover some of the one before: a call takes
// longer.
void copy_line(char* to, const char* from, size_t n) {
  constexpr size_t kStep = 16;
  if (n < kStep || n > 16 * kStep) {
    std::memcpy(to, from, n);
    return;
  }
  for (size_t i = 0; i + kStep < n; i += kStep) std::memcpy(to + i, from + i, kStep);
  std::memcpy(to + n - kStep, from + n - kStep, kStep);
}

// What stands beyond the input.
enum class Edge : int64_t { reflect, replicate, circular, constant };

// Which line of the inside [0, n) stands at i; -1: none, where the edge is constant.
int64_t source(Edge mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  if (mode == Edge::constant) return -1;
  if (mode == Edge::replicate) return i < 0 ? 0 : n - 1;
  if (mode == Edge::circular) return i < 0 ? i + n : i - n;
  return i < 0 ? -i : 2 * (n - 1) - i;
}

// Lines along the last dimension that is padded, of `item` bytes for each place.
struct Lines {
  char* out;
  const char* in;
  const char* value;  // of an item, where the edge is constant
  Edge mode;
  std::vector<int64_t> sizes;  // of the input's dimensions down to the lines' own
  std::vector<Side> sides;
  int64_t item;
  std::vector<int64_t> left, right;  // where in a line its edges come from, in bytes

  int64_t padded(size_t d) const { return sizes[d] + sides[d].before + sides[d].after; }

  // Copies n items, of T or of so many bytes.
  template <class T>
  void move(char* to, const char* from, int64_t n) const {
    if (n == 1 && item == sizeof(T))
      std::memcpy(to, from, sizeof(T));
    else
      copy_line(to, from, static_cast<size_t>(n * item));
  }
  template <class T>
  void fill(char* to, int64_t n) const {
    if (item == sizeof(T) && n == 1)
      std::memcpy(to, value, sizeof(T));
    else if (item == sizeof(T))
      std::fill_n(reinterpret_cast<T*>(to), n, *reinterpret_cast<const T*>(value));
    else
      for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * item, value, static_cast<size_t>(item));
  }
  template <class T>
  void gather(char* to, const char* from, const std::vector<int64_t>& at) const {
    for (const int64_t i : at) {
      move<T>(to, from + i, 1);
      to += item;
    }
  }
  template <class T>
  void line(char* to, const char* from) const {  // from: null for a line of the edge
    const size_t last = sizes.size() - 1;
    const auto [before, after] = sides[last];
    if (!from) return fill<T>(to, padded(last));
    const int64_t n = sizes[last], start = std::max<int64_t>(-before, 0);
    const int64_t kept = std::min(n, n + after) - start;
    char *inside = to + (start + before) * item, *behind = to + (n + before) * item;
    if (kept > 0) move<T>(inside, from + start * item, kept);
    if (mode == Edge::constant) {
      if (before > 0) fill<T>(to, before);
      if (after > 0) fill<T>(behind, after);
    } else {
      gather<T>(to, from, left);
      gather<T>(behind, from, right);
    }
  }
  // Lines of the input that follow each other. What is read in the loop lies in the function, where
  // the bytes that are written cannot change it.
  template <class T>
  void inside(char* to, const char* from, int64_t count) const {
    const auto [before, after] = sides.back();
    const int64_t n = sizes.back(), width = n + before + after, size = item;
    if (size != sizeof(T)) {
      for (int64_t k = 0; k < count; ++k) line<T>(to + k * width * size, from + k * n * size);
      return;
    }
    const int64_t start = std::max<int64_t>(-before, 0);
    const int64_t kept = std::max<int64_t>(std::min(n, n + after) - start, 0) * size;
    const bool constant = mode == Edge::constant;
    const int64_t *at_left = left.data(), *at_right = right.data();
    const T edge = constant ? *reinterpret_cast<const T*>(value) : T();
    for (; count > 0; --count, to += width * size, from += n * size) {
      T *l = reinterpret_cast<T*>(to), *r = l + n + before;
      copy_line(to + (start + before) * size, from + start * size, static_cast<size_t>(kept));
      for (int64_t k = 0; k < before; ++k)
        l[k] = constant ? edge : *reinterpret_cast<const T*>(from + at_left[k]);
      for (int64_t k = 0; k < after; ++k)
        r[k] = constant ? edge : *reinterpret_cast<const T*>(from + at_right[k]);
    }
  }
  // Where the line with these indices of the dimensions [0, d) comes from, or -1.
  int64_t origin(const int64_t* index, size_t d) const {
    int64_t at = 0;
    for (size_t k = 0; k < d && at >= 0; ++k) {
      const int64_t from = source(mode, index[k] - sides[k].before, sizes[k]);
      at = from < 0 ? -1 : at * sizes[k] + from;
    }
    return at;
  }
  template <class T>
  void range(int64_t begin, int64_t end) const {
    const size_t last = sizes.size() - 1;
    std::vector<int64_t> index(last + 1);
    int64_t rest = begin;
    for (size_t d = last; d-- > 0; rest /= padded(d)) index[d] = rest % padded(d);
    int64_t plane = last ? origin(index.data(), last - 1) : 0;
    const int64_t width = padded(last) * item, own = sizes[last] * item;
    if (!last) return line<T>(out, in);
    const auto [before, after] = sides[last - 1];
    const int64_t rows = sizes[last - 1], all = rows + before + after;
    for (int64_t i = begin; i < end;) {
      int64_t& row = index[last - 1];
      int64_t count = 1;
      if (plane >= 0 && row >= before && row < before + rows) {
        count = std::min(end - i, std::min(before + rows, all) - row);
        inside<T>(out + i * width, in + (plane * rows + row - before) * own, count);
      } else {
        const int64_t at = plane < 0 ? -1 : source(mode, row - before, rows);
        line<T>(out + i * width, at < 0 ? nullptr : in + (plane * rows + at) * own);
      }
      i += count;
      if ((row += count) < all) continue;
      row = 0;
      for (size_t d = last - 1; d-- > 0 && ++index[d] == padded(d);) index[d] = 0;
      plane = origin(index.data(), last - 1);
    }
  }
  void run() {
    const int64_t n = sizes.back();
    if (mode != Edge::constant) {
      for (int64_t i = -sides.back().before; i < 0; ++i) left.push_back(source(mode, i, n) * item);
      for (int64_t i = n; i < n + sides.back().after; ++i)
        right.push_back(source(mode, i, n) * item);
    }
    int64_t lines = 1;
    for (size_t d = 0; d + 1 < sizes.size(); ++d) lines *= padded(d);
    const int64_t grain = 131072 / (padded(sizes.size() - 1) * item + 1) + 1;
    parallel_for(0, lines, grain, [&](int64_t begin, int64_t end) {
      switch (item) {
        case 2: return range<uint16_t>(begin, end);
        case 4: return range<uint32_t>(begin, end);
        case 8: return range<uint64_t>(begin, end);
        default: return range<uint8_t>(begin, end);
      }
    });
  }
};

// out: the input between its edges. Both lie in the order of empty_of().
void pad_lines(const Tensor& out, const Tensor& input, const std::vector<Side>& sides, Edge mode,
               const Scalar& value) {
  const size_t n = sides.size();
  const bool last = !out.is_contiguous();  // channels last: those lie behind the rest
  const Tensor x = last || input.is_contiguous() ? input : input.contiguous_raw();
  Lines l{static_cast<char*>(out.data()),
          static_cast<const char*>(x.data()),
          nullptr,
          mode,
          {},
          {},
          static_cast<int64_t>(itemsize(x.dtype())),
          {},
          {}};
  const auto free = [](const Side& s) { return !s.before && !s.after; };
  for (size_t k = 0; k < n; ++k) {
    const size_t d = !last || k == 0 ? k : k + 1 < n ? k + 1 : 1;
    if (!l.sides.empty() && free(l.sides.back()) && free(sides[d])) {
      l.sizes.back() *= x.sizes()[d];
      continue;
    }
    l.sizes.push_back(x.sizes()[d]);
    l.sides.push_back(sides[d]);
  }
  while (l.sizes.size() > 1 && free(l.sides.back())) {
    l.item *= l.sizes.back();
    l.sizes.pop_back();
    l.sides.pop_back();
  }
  const Tensor edge = empty(Ints{l.item / static_cast<int64_t>(itemsize(x.dtype()))}, x.options());
  if (mode == Edge::constant) {
    fill(edge, value);
    l.value = static_cast<const char*>(edge.data());
  }
  l.run();
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
  if (input.dim() == 0)
    copy(out, input);
  else
    pad_lines(out, input, sides, Edge::constant, value);
  return out;
}

void constant_pad_back(Backward& b) {
  static const OpCall again("constant_pad_nd");
  Ints pad = b.arg(1).as_ints();
  for (int64_t& p : pad) p = -p;
  b.set(0, again(b.grad(), pad));
}

// -- edges made of the inside ---------------------------------------------------------------------
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
  if (input.dim() == 0)
    copy(out, input);
  else
    pad_lines(out, input, sides, static_cast<Edge>(mode), 0.0);
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
  Tensor inside = sums;
  for (size_t d = 0; d < sides.size(); ++d) inside = narrowed(inside, d, sides[d].before, sizes[d]);
  copy(out, inside);
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

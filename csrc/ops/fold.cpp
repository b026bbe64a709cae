// How a tensor lies in memory for a reduction over some of its dimensions.
#include "fold.h"

#include <algorithm>

namespace flambeau {
namespace {

// How far apart the elements of dimensions [begin, end) are that are like one; 0 if they are not.
int64_t even_step(const Tensor& x, size_t begin, size_t end) {
  int64_t step = 1, next = 0;
  for (size_t d = end; d-- > begin;) {
    const int64_t n = x.sizes()[d], stride = x.strides()[d];
    if (n == 1) continue;
    if (stride <= 0 || (next && stride != next)) return 0;
    if (!next) step = stride;
    next = stride * n;
  }
  return step;
}

constexpr int64_t kShortRow = 24;  // copied, which lets the kernel take many at a time

}  // namespace

uint64_t last_group(const Tensor& x, uint64_t bits) {
  uint64_t group = 0;
  for (int64_t d = x.dim() - 1; d >= 0; --d) {
    if (x.sizes()[d] == 1) continue;
    if (bits >> d & 1)
      group |= uint64_t(1) << d;
    else if (group)
      break;
  }
  return group;
}
bool lie_together(const Tensor& x, uint64_t bits) {
  uint64_t real = 0;  // a number has none, though its dimension 0 may be asked for
  for (int64_t d = 0; d < x.dim(); ++d)
    if (x.sizes()[d] != 1) real |= bits & uint64_t(1) << d;
  return x.is_contiguous() && last_group(x, real) == real;
}
Folded fold_dims(const Tensor& x, uint64_t bits, bool apart) {
  Folded f;
  if (lie_together(x, bits)) {
    const uint64_t group = last_group(x, bits);
    bool before = group != 0;
    for (int64_t d = 0; d < x.dim(); ++d) {
      const bool in = group >> d & 1;
      before = before && !in;
      (in ? f.n : before || !group ? f.outer : f.inner) *= x.sizes()[d];
    }
    f.x = x;
    return f;
  }
  Ints sizes, strides;
  size_t kept = 0;
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t d = 0; d < x.dim(); ++d)
      if ((bits >> d & 1) == static_cast<uint64_t>(pass)) {
        sizes.push_back(x.sizes()[d]);
        strides.push_back(x.strides()[d]);
        (pass ? f.n : f.outer) *= x.sizes()[d];
        kept += !pass;
      }
  f.x = x.as_strided_raw(sizes, strides, x->offset);
  // Rows at even distances are read where they lie, if their numbers are that much as well.
  const int64_t pitch = even_step(f.x, 0, kept), step = even_step(f.x, kept, sizes.size());
  const bool rows = pitch > 0 && (f.outer == 1 || step < pitch);
  if (rows && f.n > kShortRow && !is_complex(x.dtype()) && (step == 1 || (step > 1 && apart)))
    f.pitch = pitch, f.step = step;
  else
    f.x = f.x.contiguous_raw();
  return f;
}

Tensor in_memory_order(const Tensor& x, uint64_t& bits) {
  if (x.is_contiguous() || x.numel() == 0 || !is_dense(x)) return x;
  std::vector<int64_t> order;
  for (int64_t d = 0; d < x.dim(); ++d) order.push_back(d);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return x.strides()[a] > x.strides()[b]; });
  Ints sizes, strides;
  uint64_t moved = 0;
  int64_t kept = -1;
  for (size_t k = 0; k < order.size(); ++k) {
    const int64_t d = order[k];
    sizes.push_back(x.sizes()[d]);
    strides.push_back(x.strides()[d]);
    if (bits >> d & 1) {
      moved |= uint64_t(1) << k;
    } else if (x.sizes()[d] != 1) {
      if (d < kept) return x;
      kept = d;
    }
  }
  bits = moved;
  return x.as_strided_raw(sizes, strides, x->offset);
}

}  // namespace flambeau

// Building strided loops: broadcasting, merging, ordering.
#include "iter.h"

#include <algorithm>

namespace flambeau {
namespace {

// Whether dimension a should lie inside (be walked faster than) dimension b: the first operand that
// has an opinion decides, the output first.
bool inside(const Loop& loop, int a, int b) {
  for (int i = 0; i < loop.noperands; ++i) {
    int64_t sa = std::abs(loop.operands[i].strides[a]), sb = std::abs(loop.operands[i].strides[b]);
    if (sa == 0 || sb == 0 || sa == sb) continue;
    return sa < sb;
  }
  return a < b;
}

void order_dimensions(Loop& loop) {
  int order[kMaxDims];
  for (int d = 0; d < loop.ndim; ++d) order[d] = d;
  bool sorted = true;
  for (int d = 1; d < loop.ndim; ++d) {
    for (int k = d; k > 0 && inside(loop, order[k], order[k - 1]); --k) {
      std::swap(order[k], order[k - 1]);
      sorted = false;
    }
  }
  if (sorted) return;
  int64_t sizes[kMaxDims];
  for (int d = 0; d < loop.ndim; ++d) sizes[d] = loop.sizes[order[d]];
  std::copy(sizes, sizes + loop.ndim, loop.sizes);
  for (int i = 0; i < loop.noperands; ++i) {
    int64_t* strides = loop.operands[i].strides;
    for (int d = 0; d < loop.ndim; ++d) sizes[d] = strides[order[d]];
    std::copy(sizes, sizes + loop.ndim, strides);
  }
}

void merge_dimensions(Loop& loop) {
  int last = 0;
  for (int d = 1; d < loop.ndim; ++d) {
    bool mergeable = true;
    for (int i = 0; i < loop.noperands && mergeable; ++i) {
      const int64_t* s = loop.operands[i].strides;
      mergeable = s[d] == s[last] * loop.sizes[last];
    }
    if (mergeable) {
      loop.sizes[last] *= loop.sizes[d];
      continue;
    }
    ++last;
    loop.sizes[last] = loop.sizes[d];
    for (int i = 0; i < loop.noperands; ++i)
      loop.operands[i].strides[last] = loop.operands[i].strides[d];
  }
  loop.ndim = last + 1;
}

void find_contiguous(Loop& loop) {
  for (int i = 0; i < loop.noperands; ++i) {
    LoopOperand& o = loop.operands[i];
    int64_t expected = static_cast<int64_t>(itemsize(o.dtype));
    o.contiguous = o.constant = true;
    for (int d = 0; d < loop.ndim; ++d) {
      o.contiguous &= o.strides[d] == expected;
      o.constant &= o.strides[d] == 0;
      expected *= loop.sizes[d];
    }
  }
}

}  // namespace

void build_loop(Loop& loop, IntSpan sizes, const Tensor* const* operands, int n) {
  loop.noperands = n;
  loop.numel = product(sizes);
  bool plain = true;  // all of them contiguous and of this shape: one dimension
  for (int i = 0; i < n; ++i) {
    const Tensor& t = *operands[i];
    loop.operands[i].data = static_cast<char*>(t.data());
    loop.operands[i].dtype = t.dtype();
    plain = plain && t.is_contiguous() && t.numel() == loop.numel;
  }
  loop.ndim = 1;
  if (plain) {
    loop.sizes[0] = loop.numel;
    for (int i = 0; i < n; ++i) {
      LoopOperand& o = loop.operands[i];
      o.strides[0] = static_cast<int64_t>(itemsize(o.dtype));
      o.contiguous = true;
      o.constant = false;
    }
    return;
  }
  check(sizes.size() <= kMaxDims, "tensors of more than ", kMaxDims,
        " dimensions are not supported");
  int ndim = 0;
  auto full = static_cast<int64_t>(sizes.size());
  for (int64_t d = full - 1; d >= 0; --d) {
    if (sizes[d] == 1) continue;
    loop.sizes[ndim] = sizes[d];
    for (int i = 0; i < n; ++i) {
      const Tensor& t = *operands[i];
      int64_t own = d - (full - t.dim());
      bool moves = own >= 0 && t.sizes()[own] != 1;
      loop.operands[i].strides[ndim] =
          moves ? t.strides()[own] * static_cast<int64_t>(itemsize(t.dtype())) : 0;
    }
    ++ndim;
  }
  if (ndim == 0) {  // one element
    loop.sizes[0] = 1;
    for (int i = 0; i < n; ++i)
      loop.operands[i].strides[0] = static_cast<int64_t>(itemsize(loop.operands[i].dtype));
    ndim = 1;
  }
  loop.ndim = ndim;
  order_dimensions(loop);
  merge_dimensions(loop);
  find_contiguous(loop);
}

void build_loop(Loop& loop, IntSpan sizes, std::initializer_list<const Tensor*> operands) {
  build_loop(loop, sizes, operands.begin(), static_cast<int>(operands.size()));
}

}  // namespace flambeau

// Kernels that read and write by index.
#pragma once
#include "../dispatch.h"
#include "dtype.h"

namespace flambeau {

// What happens where two meet: a write, or an arithmetic one in the order of the indices.
enum class Combine : uint8_t { assign, add, mul, amin, amax };

// Rows of [outer, rows, inner], everything contiguous: `data` has `rows`, `other` has `count`.
struct RowsArgs {
  char* data;
  char* other;
  const int64_t* index;  // [count]
  int64_t outer, rows, count, inner;  // inner in elements
  DType dtype;
  int64_t item;
  Combine combine;
  int64_t* bad;  // set to 1 when an index is out of range, which is then read as 0
};
inline Kernel<void(const RowsArgs&)> take_rows_kernel{"index_select"};  // other = data[index]
inline Kernel<void(const RowsArgs&)> put_rows_kernel{
    "index_add"};  // data[index] (op)= other; indices checked

constexpr int kMaxIndexDims = 64;

// gather and scatter: data[.., index[pos], ..] and other[pos], for every pos of `index`'s shape.
// Strides in bytes.
struct LinesArgs {
  int ndim, dim;
  int64_t sizes[kMaxIndexDims];
  int64_t data_strides[kMaxIndexDims], other_strides[kMaxIndexDims], index_strides[kMaxIndexDims];
  char* data;
  char* other;
  const char* index;
  int64_t rows;  // of data along dim
  DType dtype;
  int64_t item;
  Combine combine;
  int64_t* bad;
};
inline Kernel<void(const LinesArgs&)> gather_kernel{"gather"};
inline Kernel<void(const LinesArgs&)> scatter_kernel{"scatter"};  // indices checked

// Least and greatest of n integers.
inline Kernel<void(const int64_t*, int64_t, int64_t*, int64_t*)> bounds_kernel{"index"};

// Where a mask (or any value) is not zero. `counts` has one number for each block of kMaskBlock
// elements: first filled by count_kernel, then made into offsets by the caller.
constexpr int64_t kMaskBlock = 16384;
struct MaskArgs {
  const char* mask;  // contiguous
  DType dtype;
  int64_t n;
  int64_t* counts;
  int64_t total = 0;  // of the counts, once they are offsets
};
inline Kernel<void(const MaskArgs&)> count_kernel{"nonzero"};
// positions[k] = the k-th element that is not zero.
inline Kernel<void(const MaskArgs&, int64_t*)> positions_kernel{"nonzero"};
// The elements under the mask one after another (pack), or put back where they were (unpack).
struct PackArgs {
  MaskArgs mask;  // of booleans
  char* whole;
  char* packed;
  int64_t item;
};
inline Kernel<void(const PackArgs&)> pack_kernel{"masked_select"};
inline Kernel<void(const PackArgs&)> unpack_kernel{"masked_scatter"};
// dst = value where mask, both of n elements.
inline Kernel<void(char* dst, const char* mask, int64_t n, int64_t item, const void* value)>
    masked_fill_kernel{"masked_fill"};

// Rows of `weight` summed bag by bag. Bag b is index[offsets[b]] .. index[offsets[b + 1]].
enum class BagMode : uint8_t { sum, mean, max };
struct BagArgs {
  const char* weight;
  char* out;             // [bags, width]
  const int64_t* index;
  const int64_t* offsets;  // [bags + 1]
  const char* scale;     // [indices] of the dtype, or null
  int64_t* argmax;       // [bags, width], for max: the row that won, -1 for none
  int64_t bags, width, rows, padding;
  BagMode mode;
  DType dtype;
};
inline Kernel<void(const BagArgs&)> bag_kernel{"embedding_bag"};

}  // namespace flambeau

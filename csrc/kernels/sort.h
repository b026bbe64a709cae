// Kernels that order elements.
#pragma once
#include "../dispatch.h"
#include "dtype.h"

namespace flambeau {

// How equal elements are ordered: by position, or as the standard library's algorithms leave them,
// which is how PyTorch's come out.
enum class Ties : uint8_t {
  stable,
  sort,    // std::sort
  top,     // std::partial_sort of few, std::nth_element and std::sort of more
  select,  // the quickselect of Numerical Recipes (Press et al., section 8.5): place keep - 1 only
};

// Rows of n contiguous elements, each ordered with its positions; NaN is greater than all. The
// first `keep` are written; with Ties::select the one of place keep - 1 alone.
struct SortArgs {
  const char* src;
  char* values;  // [rows, keep], or [rows]
  int64_t* indices;
  int64_t rows, n, keep;
  DType dtype;
  int64_t item;
  bool descending;
  Ties ties;
  int* no_memory;  // set to 1 when there was none for the keys
};
inline Kernel<void(const SortArgs&)> sort_kernel{"sort"};

// Running greatest (or least) of rows: the latest of equals wins, a NaN stays.
struct RunningArgs {
  const char* src;
  char* values;
  int64_t* indices;
  int64_t rows, n;
  DType dtype;
  bool least;
};
inline Kernel<void(const RunningArgs&)> running_kernel{"cummax"};

// Where each value would go into a sorted row. edges: [rows or 1, edge_count]; values: [rows,
// count].
struct SearchArgs {
  const char* edges;
  const char* values;
  const int64_t* sorter;  // null: the edges are in order
  int64_t* out;
  int64_t rows, edge_count, count;
  bool shared;  // one row of edges for all
  bool right;
  DType dtype;
};
inline Kernel<void(const SearchArgs&)> search_kernel{"searchsorted"};

}  // namespace flambeau

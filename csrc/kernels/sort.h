// Kernels that order elements.
#pragma once
#include "../dispatch.h"
#include "dtype.h"

namespace flambeau {

// Rows of n contiguous elements, each ordered stably with its positions; NaN is greater than all.
// The first `keep` are written.
struct SortArgs {
  const char* src;
  char* values;      // [rows, keep]
  int64_t* indices;  // [rows, keep]
  int64_t rows, n, keep;
  DType dtype;
  int64_t item;
  bool descending;
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

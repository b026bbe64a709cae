// What pooling and resizing have in common: runs of the input for each dimension's results.
#pragma once
#include "../kernels/windows.h"
#include "../op.h"

namespace flambeau {

// The runs of one dimension, see WindowAxis.
struct Axis {
  int64_t in = 1, out = 1, step = 1;
  int64_t stride = 0, offset = 0, kernel = 0;
  bool from_second = false;  // the second of two goes into the sum first: PyTorch's bits
  std::vector<int64_t> start, count;
  std::vector<double> weights;  // of every run in turn; empty: plain sums
  std::vector<double> divisor;  // empty: 1

  explicit Axis(int64_t in, int64_t out);  // each result one number, the first
  void add(int64_t from, int64_t n) { start.push_back(from), count.push_back(n); }
  // The runs with which the gradient of the results becomes that of the input.
  Axis transposed() const;
};

// Windows of a pooling, with their edges cut off.
Axis pooled(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
            int64_t dilation);

// The last dimensions of x, as many as there are axes, through them. Keeps channels_last.
Tensor run_windows(const Tensor& x, const std::vector<Axis>& axes, double divide = 1);
// Images [N, C, H, W] of bytes through weighted axes; `bits` of the weights, 0: as in PyTorch.
Tensor resize_bytes(const Tensor& x, const std::vector<Axis>& axes, int bits);
// Maxima and, where asked for, their places as integers of the width of the computation's type.
std::tuple<Tensor, Tensor> run_max_windows(const Tensor& x, const std::vector<Axis>& axes,
                                           bool places);
// The gradient of an x of that shape, whose last `dims` were pooled, from that of its maxima.
Tensor add_at_places(const Tensor& grad, const Tensor& places, const Ints& shape, int64_t dims);

}  // namespace flambeau

// Convolutions of one to three dimensions: what operators hand to the kernels.
#pragma once
#include "finish.h"

namespace flambeau {

// All tensors are dense: input [batch, in_channels, *in], output [batch, out_channels, *out],
// weight [out_channels, in_channels / groups, *kernel]. Fewer dimensions have leading ones.
// `padding` is what precedes the input; what follows it is whatever `out` reaches.
struct ConvArgs {
  bool is_double = false;
  int64_t batch = 0, groups = 1, in_channels = 0, out_channels = 0;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  void *input = nullptr, *weight = nullptr, *output = nullptr;  // one is written, two are read
  const void* bias = nullptr;  // per channel of what is written, where it is not the weight
  const Finish* finish = nullptr;  // of the output, in float
  const void* filters = nullptr;  // for the output: the weight as conv_filters_kernel left it
};

// A forward convolution of bfloat16 as products of pairs of channels, from packed filters.
struct ConvPairsArgs : ConvArgs {
  // Where not null, nothing is computed: set to the size of the packed filters, 0 where there is
  // no such form; and the filters are packed to `pack`, if that is given.
  int64_t* bytes = nullptr;
  void* pack = nullptr;
  bool weight_is_float = false;  // float32, to be rounded
  const void* packed = nullptr;
};
inline Kernel<void(const ConvPairsArgs&)> conv_pairs_kernel{"convolution"};

// Sets the size of the form in which a convolution's output reads its weight, 0 where there is none
// to keep; where `to` is given, makes it.
inline Kernel<void(const ConvArgs&, void* to, int64_t* bytes)> conv_filters_kernel{"convolution"};
inline Kernel<void(const ConvArgs&)> conv_output_kernel{"convolution"};
inline Kernel<void(const ConvArgs&)> conv_input_kernel{"transposed convolution"};
inline Kernel<void(const ConvArgs&)> conv_weight_kernel{"convolution's weight gradient"};

}  // namespace flambeau

// Kernels of images: resized, turned over, looked up, made floats, changed in colour.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// One direction of a resize in whole numbers: each of `out` results is a weighted sum of
// neighbours.
struct ByteAxis {
  int64_t in, out;         // equal and without weights: left as it is
  int64_t taps;            // of each result, a multiple of four; those beyond the run weigh 0
  const int32_t* start;    // [out]
  const int32_t* count;    // [out] the length of the run
  const int32_t* weights;  // [out, taps]
  const int32_t* across;   // [out / 4 rounded up, taps, 4 results, 4 times each]
  int bits;                // of the weights below one
  bool pairs;              // weights of 16 bits, two neighbours in one number: taps / 2 of them
};

// Pixels of 1, 3 or 4 bytes: [planes, rows.in, columns.in, pixel] to [planes, rows.out,
// columns.out, pixel], along the lines first. Strides are in bytes; `out` has no gaps.
struct ByteResizeArgs {
  const uint8_t* in;
  uint8_t *out, *between;  // [planes, rows.in, columns.out, pixel], where both directions change
  int64_t plane_stride, row_stride, planes, pixel;
  ByteAxis columns, rows;
};
inline Kernel<void(const ByteResizeArgs&)> byte_resize_kernel{"byte_resize"};

// [rows, n] items of `size` bytes, each row the other way round.
struct MirrorArgs {
  const void* in;
  void* out;
  int64_t rows, n, size;
};
inline Kernel<void(const MirrorArgs&)> mirror_kernel{"mirror"};

// out = table[in] for planes of n bytes; a table for each plane, or one for all (step 0).
struct LookupArgs {
  const uint8_t *in, *table;
  uint8_t* out;
  int64_t planes, n, step;
};
inline Kernel<void(const LookupArgs&)> lookup_kernel{"lookup"};

// How often each of 256 values comes in each plane of n bytes: counts [planes, 256].
struct HistogramArgs {
  const uint8_t* in;
  int64_t* counts;
  int64_t planes, n;
};
inline Kernel<void(const HistogramArgs&)> histogram_kernel{"byte_histogram"};

// Bytes [channels, rows, columns] over 255 as float32, without gaps. The pixel of the input takes
// 1 byte (then channels lie apart), 3 or 4 (then channels are neighbours); row_stride in bytes.
struct ByteFloatsArgs {
  const uint8_t* in;
  float* out;
  int64_t channels, rows, columns, channel_stride, row_stride, pixel;
};
inline Kernel<void(const ByteFloatsArgs&)> byte_floats_kernel{"byte_floats"};

// (x - mean) / std for planes of n numbers, `channels` of them in turn.
struct StandardizeArgs {
  const float *in, *mean, *std;
  float* out;
  int64_t planes, channels, n;
};
inline Kernel<void(const StandardizeArgs&)> standardize_kernel{"standardize"};

// Images of n pixels, [images, channels, n], bytes or float32.
struct ColorArgs {
  const void* in;
  void* out;
  int64_t images, channels, n;
  bool bytes;
};
// Grey of three channels, [images, 1, n].
inline Kernel<void(const ColorArgs&)> gray_kernel{"gray"};
// The hue turned by a share of the circle.
inline Kernel<void(const ColorArgs&, float)> hue_kernel{"hue"};
// in * ratio + other * (1 - ratio), held between black and white; other [images, step ? n : 1].
inline Kernel<void(const ColorArgs&, const void* other, int64_t step, double ratio)> blend_kernel{
    "blend"};

}  // namespace flambeau

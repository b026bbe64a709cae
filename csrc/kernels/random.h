// What drawing random numbers asks of a processor: the twister's step, and bits turned to numbers.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// Element types as far as drawing goes: an integer is its size.
enum class Drawn : uint8_t { int8, int16, int32, int64, float16, bfloat16, float32, float64 };

struct DrawArgs {
  const uint32_t* bits;  // `words` of them for each number
  int words;             // 1, or 2: the high half of 64 bits first
  int64_t n;
  void* out;             // may be `bits` itself where a number is as large as its bits
  Drawn type;
};

struct UniformArgs : DrawArgs {
  double from, to;  // in the element's precision; a draw that rounds to `to` becomes `from`
};

struct NormalArgs : DrawArgs {  // n is a multiple of 16
  float mean, std;
};

struct IntegerArgs : DrawArgs {
  uint64_t range;  // low + draw % range; 0: all 64 bits
  int64_t low;
};

struct ExponentialArgs : DrawArgs {  // words is 2, the type float32
  double mean;
};

struct ChanceArgs : DrawArgs {  // words is 2
  uint64_t limit;               // 1 where the draw's low 53 bits are below it, else 0
};

struct DropoutArgs {
  int64_t n;
  const void* x;
  void* y;  // x * scale where the mask is set, x * 0 elsewhere
  Drawn type;
  double scale;
  uint64_t* mask;        // one bit for each number; written when there are `bits`
  const uint32_t*
      bits;  // two words for each number, kept where their low 53 bits are below `limit`
  uint64_t limit;
};

// For i from begin to end: swaps out[i] and out[i + bits[i - begin] % (n - i)].
struct ShuffleArgs {
  const uint32_t* bits;
  int64_t begin, end, n;
  int32_t* out;
};

// Steps the 624 words of `state`, if asked to, and gives their tempered form in `out`.
inline Kernel<void(uint32_t* state, uint32_t* out, bool step)> twister_kernel{"manual_seed"};
inline Kernel<void(const UniformArgs&)> uniform_kernel{"uniform_"};
inline Kernel<void(const NormalArgs&)> normal_kernel{"normal_"};
inline Kernel<void(const IntegerArgs&)> integer_kernel{"random_"};
inline Kernel<void(const ExponentialArgs&)> exponential_kernel{"exponential_"};
inline Kernel<void(const ChanceArgs&)> chance_kernel{"bernoulli_"};
inline Kernel<void(const ShuffleArgs&)> shuffle_kernel{"randperm"};
inline Kernel<void(const DropoutArgs&)> dropout_kernel{"dropout"};

}  // namespace flambeau

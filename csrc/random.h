// The CPU's random number generator and what is drawn from it: PyTorch's numbers, in its order.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/random.h"

namespace flambeau {

// Mersenne Twister 19937. Whoever draws holds the GIL; workers only turn drawn bits into numbers.
class Generator {
 public:
  static constexpr uint64_t kDefaultSeed = 67280421310721;
  static constexpr size_t kStateBytes = 5056;

  explicit Generator(uint64_t seed = kDefaultSeed) { manual_seed(seed); }
  void manual_seed(uint64_t seed);
  uint64_t seed();  // from the system's entropy; the new seed
  uint64_t initial_seed() const { return seed_; }

  uint32_t random() {
    if (--left_ == 0) step();
    return out_[next_++];
  }
  uint64_t random64() {
    const uint64_t high = random();
    return high << 32 | random();
  }
  double uniform() { return static_cast<double>(random64() & ((1ull << 53) - 1)) * 0x1p-53; }
  // Box and Muller's two numbers, the second kept for the next call.
  double normal();
  void fill(uint32_t* bits, int64_t n);

  // As PyTorch lays it out, so that states can be exchanged with it.
  void get_state(uint8_t* bytes) const;
  void set_state(const uint8_t* bytes);

 private:
  void step();

  static constexpr int kWords = 624;
  uint64_t seed_;
  int32_t left_;   // draws until the next step, counting the one that makes it
  uint32_t next_;  // the next word of out_
  bool has_normal_;
  double normal_;
  uint32_t state_[kWords], out_[kWords];  // out_ is state_ tempered, once next_ is not 0
};

Generator& default_generator();

// -- n numbers in memory order --------------------------------------------------------------------
void draw_uniform(Generator& g, void* out, int64_t n, Drawn type, double from, double to);
// Blocks of 16 numbers, the last block drawn anew when n is no multiple of 16: what PyTorch does
// for contiguous tensors of 16 numbers or more. T is float, double; `half` for float that is to
// become half precision, which draws bits for whole blocks only.
template <class T>
void draw_normal_blocks(Generator& g, T* out, int64_t n, double mean, double std, bool half);
// low + draw % range, range 0 standing for 2^64; `wide` draws take 64 bits.
void draw_integers(Generator& g, void* out, int64_t n, Drawn type, uint64_t range, int64_t low,
                   bool wide);
// 1 with probability p, 0 otherwise.
void draw_chances(Generator& g, void* out, int64_t n, Drawn type, double p);
// out[i] = draw < p[i]; draws are as precise as p.
template <class T>
void draw_chances_of(Generator& g, bool* out, int64_t n, const T* p);
// Dropout: y = x * scale where kept, with probability p; the mask has one bit for each number.
void draw_dropout(Generator& g, DropoutArgs a, double p);
void apply_dropout(const DropoutArgs& a);  // the same by a mask drawn before
// A permutation of 0 ... n - 1.
constexpr int64_t kShortPermutation = UINT32_MAX / 20;  // more would notice draws of 32 bits
void draw_permutation(Generator& g, int32_t* out, int64_t n);  // n below that
void draw_permutation(Generator& g, int64_t* out, int64_t n);

template <class T>
void draw_exponential(Generator& g, T* out, int64_t n, double lambda);
template <class T>
void draw_geometric(Generator& g, T* out, int64_t n, double p);
template <class T>
void draw_cauchy(Generator& g, T* out, int64_t n, double median, double sigma);

// -- one number -----------------------------------------------------------------------------------
double draw_poisson(Generator& g, double rate);
double draw_binomial(Generator& g, double count, double p);
template <class T>
T draw_gamma(Generator& g, T alpha);

}  // namespace flambeau

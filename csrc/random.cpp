// The Mersenne Twister and PyTorch's derivation of numbers from its words.
#include "random.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "common.h"
#include "parallel.h"

namespace flambeau {
namespace {

constexpr int64_t kChunk = 1 << 17;  // words drawn at a time
constexpr int64_t kGrain = 1 << 13;  // numbers in a worker's task
constexpr double kPi = 3.14159265358979323846;

// PyTorch's state: the engine's fields, each word of the twister in eight bytes, then the kept
// normal number (the places of its partner and of a single-precision one stay zero).
constexpr size_t kSeedAt = 0, kLeftAt = 8, kSeededAt = 12, kNextAt = 16, kWordsAt = 24;
constexpr size_t kNormalAt = 5024, kHasNormalAt = 5040;

template <class T>
void put(uint8_t* bytes, size_t at, T value) {
  std::memcpy(bytes + at, &value, sizeof(T));
}
template <class T>
T take(const uint8_t* bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes + at, sizeof(T));
  return value;
}

}  // namespace

// -- the generator --------------------------------------------------------------------------------
void Generator::manual_seed(uint64_t seed) {
  seed_ = seed;
  state_[0] = static_cast<uint32_t>(seed);
  for (uint32_t i = 1; i < kWords; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  left_ = 1;
  next_ = 0;
  has_normal_ = false;
  normal_ = 0;
}

uint64_t Generator::seed() {
  std::random_device entropy;
  const uint64_t high = entropy();
  manual_seed(high << 32 | entropy());
  return seed_;
}

void Generator::step() {
  twister_kernel(DeviceType::cpu, state_, out_, true);
  left_ = kWords;
  next_ = 0;
}

void Generator::fill(uint32_t* bits, int64_t n) {
  while (n > 0) {
    if (left_ == 1) {
      if (n >= kWords) {  // a whole step goes straight to its place
        twister_kernel(DeviceType::cpu, state_, bits, true);
        bits += kWords;
        n -= kWords;
        next_ = kWords;
        continue;
      }
      step();
      left_ = kWords + 1;
    }
    const int64_t m = std::min<int64_t>(n, left_ - 1);
    std::memcpy(bits, out_ + next_, m * sizeof(uint32_t));
    next_ += static_cast<uint32_t>(m);
    left_ -= static_cast<int32_t>(m);
    bits += m;
    n -= m;
  }
}

double Generator::normal() {
  if (has_normal_) {
    has_normal_ = false;
    return normal_;
  }
  const double angle = 2.0 * kPi * uniform();
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  normal_ = radius * std::sin(angle);
  has_normal_ = true;
  return radius * std::cos(angle);
}

void Generator::get_state(uint8_t* bytes) const {
  std::memset(bytes, 0, kStateBytes);
  put<uint64_t>(bytes, kSeedAt, seed_);
  put<int32_t>(bytes, kLeftAt, left_);
  put<int32_t>(bytes, kSeededAt, 1);
  put<uint64_t>(bytes, kNextAt, next_);
  for (int i = 0; i < kWords; ++i) put<uint64_t>(bytes, kWordsAt + 8 * i, state_[i]);
  if (has_normal_) put<double>(bytes, kNormalAt, normal_);
  put<int32_t>(bytes, kHasNormalAt, has_normal_);
}

void Generator::set_state(const uint8_t* bytes) {
  const auto left = take<int32_t>(bytes, kLeftAt);
  const auto next = take<uint64_t>(bytes, kNextAt);
  check(take<int32_t>(bytes, kSeededAt) == 1 && left > 0 && left <= kWords && next <= kWords &&
            (left == 1 || left + next == kWords + 1),
        "set_state(): not the state of a Mersenne Twister generator");
  seed_ = take<uint64_t>(bytes, kSeedAt);
  left_ = left;
  next_ = static_cast<uint32_t>(next);
  for (int i = 0; i < kWords; ++i)
    state_[i] = static_cast<uint32_t>(take<uint64_t>(bytes, kWordsAt + 8 * i));
  has_normal_ = take<int32_t>(bytes, kHasNormalAt) != 0;
  normal_ = take<double>(bytes, kNormalAt);
  twister_kernel(DeviceType::cpu, state_, out_, false);
}

Generator& default_generator() {
  static Generator g;
  return g;
}

// -- n numbers in memory order --------------------------------------------------------------------
namespace {

size_t size_of(Drawn t) {
  constexpr uint8_t sizes[] = {1, 2, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(t)];
}

// Draws `words` words for each of n numbers, a chunk at a time, and calls f(bits, at, m) for the
// numbers from `at`; f may run in several threads.
template <class F>
void chunks(Generator& g, int64_t n, int words, int64_t grain, const F& f) {
  const int64_t step = kChunk / words;
  const std::unique_ptr<uint32_t[]> bits(new uint32_t[std::min(n, step) * words]);
  for (int64_t at = 0; at < n; at += step) {
    const int64_t m = std::min(step, n - at);
    g.fill(bits.get(), m * words);
    parallel_for(0, m, grain,
                 [&](int64_t b, int64_t e) { f(bits.get() + b * words, at + b, e - b); });
  }
}

void* at_index(void* out, int64_t i, Drawn type) {
  return static_cast<char*>(out) + i * size_of(type);
}

// f of a number in [0, 1) of 53 bits, for each of n.
template <class T, class F>
void transform(Generator& g, T* out, int64_t n, const F& f) {
  chunks(g, n, 2, kGrain, [&](const uint32_t* bits, int64_t at, int64_t m) {
    for (int64_t i = 0; i < m; ++i) {
      const uint64_t draw = static_cast<uint64_t>(bits[2 * i]) << 32 | bits[2 * i + 1];
      const auto u = static_cast<double>(static_cast<int64_t>(draw & ((1ull << 53) - 1)));
      out[at + i] = static_cast<T>(f(u * 0x1p-53));
    }
  });
}

// Where the low 53 bits of a draw stand for a number below p.
uint64_t limit_of(double p) { return static_cast<uint64_t>(std::ceil(p * 0x1p53)); }

}  // namespace

void draw_uniform(Generator& g, void* out, int64_t n, Drawn type, double from, double to) {
  const int words = type == Drawn::float64 ? 2 : 1;
  chunks(g, n, words, 8 * kGrain, [&](const uint32_t* bits, int64_t at, int64_t m) {
    uniform_kernel(DeviceType::cpu, {{bits, words, m, at_index(out, at, type), type}, from, to});
  });
}

namespace {

void box_muller(const uint32_t* bits, float* out, double mean, double std) {
  normal_kernel(
      DeviceType::cpu,
      {{bits, 1, 16, out, Drawn::float32}, static_cast<float>(mean), static_cast<float>(std)});
}

void box_muller(const uint32_t* bits, double* out, double mean, double std) {
  for (int i = 0; i < 8; ++i) {
    const auto unit = [&](int j) {
      const uint64_t draw = static_cast<uint64_t>(bits[2 * j]) << 32 | bits[2 * j + 1];
      return static_cast<double>(draw & ((1ull << 53) - 1)) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(1 - unit(i)));
    const double angle = 2.0 * kPi * unit(i + 8);
    out[i] = std::fma(radius * std::cos(angle), std, mean);
    out[i + 8] = std::fma(radius * std::sin(angle), std, mean);
  }
}

void many_blocks(Generator& g, float* out, int64_t blocks, double mean, double std) {
  chunks(g, blocks, 16, kGrain / 16, [&](const uint32_t* bits, int64_t at, int64_t m) {
    normal_kernel(DeviceType::cpu, {{bits, 1, 16 * m, out + 16 * at, Drawn::float32},
                                    static_cast<float>(mean),
                                    static_cast<float>(std)});
  });
}

void many_blocks(Generator& g, double* out, int64_t blocks, double mean, double std) {
  chunks(g, blocks, 32, kGrain / 16, [&](const uint32_t* bits, int64_t at, int64_t m) {
    for (int64_t i = 0; i < m; ++i) box_muller(bits + 32 * i, out + 16 * (at + i), mean, std);
  });
}

}  // namespace

template <class T>
void draw_normal_blocks(Generator& g, T* out, int64_t n, double mean, double std, bool half) {
  constexpr int words = sizeof(T) / sizeof(uint32_t);
  many_blocks(g, out, n / 16, mean, std);
  if (n % 16 == 0) return;
  uint32_t bits[16 * words];
  if (!half) g.fill(bits, n % 16 * words);  // PyTorch draws for the numbers it then draws anew
  g.fill(bits, 16 * words);
  box_muller(bits, out + n - 16, mean, std);
}
template void draw_normal_blocks(Generator&, float*, int64_t, double, double, bool);
template void draw_normal_blocks(Generator&, double*, int64_t, double, double, bool);

void draw_integers(Generator& g, void* out, int64_t n, Drawn type, uint64_t range, int64_t low,
                   bool wide) {
  const int words = wide ? 2 : 1;
  chunks(g, n, words, 2 * kGrain, [&](const uint32_t* bits, int64_t at, int64_t m) {
    integer_kernel(DeviceType::cpu, {{bits, words, m, at_index(out, at, type), type}, range, low});
  });
}

void draw_chances(Generator& g, void* out, int64_t n, Drawn type, double p) {
  chunks(g, n, 2, 4 * kGrain, [&](const uint32_t* bits, int64_t at, int64_t m) {
    chance_kernel(DeviceType::cpu, {{bits, 2, m, at_index(out, at, type), type}, limit_of(p)});
  });
}

template <class T>
void draw_chances_of(Generator& g, bool* out, int64_t n, const T* p) {
  constexpr int words = sizeof(T) / sizeof(uint32_t);
  chunks(g, n, words, 2 * kGrain, [&](const uint32_t* bits, int64_t at, int64_t m) {
    for (int64_t i = 0; i < m; ++i) {
      if constexpr (words == 1) {
        out[at + i] = static_cast<float>(bits[i] & 0xffffff) * 0x1p-24f < p[at + i];
      } else {
        const uint64_t draw = static_cast<uint64_t>(bits[2 * i]) << 32 | bits[2 * i + 1];
        out[at + i] = static_cast<double>(draw & ((1ull << 53) - 1)) * 0x1p-53 < p[at + i];
      }
    }
  });
}
template void draw_chances_of(Generator&, bool*, int64_t, const float*);
template void draw_chances_of(Generator&, bool*, int64_t, const double*);

namespace {

// Numbers from `at` on; chunks and tasks begin at whole words of the mask.
void drop_part(DropoutArgs a, const uint32_t* bits, int64_t at, int64_t m) {
  const size_t size = size_of(a.type);
  a.n = m;
  a.bits = bits;
  a.x = static_cast<const char*>(a.x) + at * size;
  a.y = static_cast<char*>(a.y) + at * size;
  a.mask += at / 64;
  dropout_kernel(DeviceType::cpu, a);
}

}  // namespace

void draw_dropout(Generator& g, DropoutArgs a, double p) {
  a.limit = limit_of(p);
  chunks(g, a.n, 2, 2 * kGrain,
         [&](const uint32_t* bits, int64_t at, int64_t m) { drop_part(a, bits, at, m); });
}

void apply_dropout(const DropoutArgs& a) {
  parallel_for(0, a.n, 4 * kGrain, [&](int64_t b, int64_t e) { drop_part(a, nullptr, b, e - b); });
}

void draw_permutation(Generator& g, int32_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<int32_t>(i);
  constexpr int64_t kStep = 1 << 12;
  uint32_t bits[kStep];
  for (int64_t b = 0; b < n - 1; b += kStep) {
    const int64_t m = std::min(kStep, n - 1 - b);
    g.fill(bits, m);
    shuffle_kernel(DeviceType::cpu, {bits, b, b + m, n, out});
  }
}

void draw_permutation(Generator& g, int64_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = i;
  for (int64_t i = 0; i < n - 1; ++i)
    std::swap(out[i], out[i + static_cast<int64_t>(g.random64() % static_cast<uint64_t>(n - i))]);
}

template <>
void draw_exponential(Generator& g, float* out, int64_t n, double lambda) {
  chunks(g, n, 2, kGrain, [&](const uint32_t* bits, int64_t at, int64_t m) {
    exponential_kernel(DeviceType::cpu, {{bits, 2, m, out + at, Drawn::float32}, 1.0 / lambda});
  });
}
template <>
void draw_exponential(Generator& g, double* out, int64_t n, double lambda) {
  transform(g, out, n, [=](double u) { return -1.0 / lambda * std::log1p(-u); });
}
template <class T>
void draw_geometric(Generator& g, T* out, int64_t n, double p) {
  transform(g, out, n, [=](double u) { return std::ceil(std::log(u) / std::log1p(-p)); });
}
template <class T>
void draw_cauchy(Generator& g, T* out, int64_t n, double median, double sigma) {
  transform(g, out, n, [=](double u) { return median + sigma * std::tan(kPi * (u - 0.5)); });
}
#define FLAMBEAU_DRAWS(T)                                        \
  template void draw_geometric(Generator&, T*, int64_t, double); \
  template void draw_cauchy(Generator&, T*, int64_t, double, double);
FLAMBEAU_DRAWS(float)
FLAMBEAU_DRAWS(double)
#undef FLAMBEAU_DRAWS

}  // namespace flambeau

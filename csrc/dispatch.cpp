// Chooses the instruction-set level of the kernels, once, at import.
#include "dispatch.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "common.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__APPLE__)
extern const flambeau::KernelEntry kernels_begin[] __asm("section$start$__DATA$flambeau_kern");
extern const flambeau::KernelEntry kernels_end[] __asm("section$end$__DATA$flambeau_kern");
#else
// Weak, so that a tree without kernels links.
extern const flambeau::KernelEntry kernels_begin[] __asm("__start_flambeau_kernels")
    __attribute__((weak, visibility("hidden")));
extern const flambeau::KernelEntry kernels_end[] __asm("__stop_flambeau_kernels")
    __attribute__((weak, visibility("hidden")));
#endif

namespace flambeau {
namespace {

#if defined(__x86_64__)

constexpr const char* kLevels[] = {"v2", "v3", "v4", "amx"};

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}

// Which register files the operating system saves on a context switch.
uint64_t saved_state() {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

bool has(unsigned reg, unsigned bits) { return (reg & bits) == bits; }

constexpr unsigned bits() { return 0; }
template <class... I>
constexpr unsigned bits(unsigned first, I... rest) {
  return 1u << first | bits(rest...);
}

// The index of the best level, -1 if there is none. Each step tests all that the flags of the
// level in CMakeLists.txt allow the compiler to use.
int best_level() {
  const Registers r1 = cpuid(1), r7 = cpuid(7), r71 = cpuid(7, 1), x1 = cpuid(0x80000001u);
  // sse3 ssse3 cx16 sse4.1 sse4.2 popcnt; lahf
  if (!has(r1.c, bits(0, 9, 13, 19, 20, 23)) || !has(x1.c, bits(0))) return -1;
  // fma movbe osxsave avx f16c; bmi1 avx2 bmi2; lzcnt
  if (!has(r1.c, bits(12, 22, 27, 28, 29)) || !has(r7.b, bits(3, 5, 8)) || !has(x1.c, bits(5)))
    return 0;
  const uint64_t saved = saved_state();
  if ((saved & 0x6) != 0x6) return 0;
  // avx512: f dq cd bw vl; opmask and both halves of zmm saved
  if (!has(r7.b, bits(16, 17, 28, 30, 31)) || (saved & 0xe6) != 0xe6) return 1;
  // avx512_vnni; avx512_bf16; amx-bf16 amx-tile amx-int8; tile configuration and data saved
  if (!has(r7.c, bits(11)) || !has(r71.a, bits(5)) || !has(r7.d, bits(22, 24, 25)) ||
      (saved & 0x60000) != 0x60000)
    return 2;
  // The palette of tiles that TileConfig names: 8 of 16 rows of 64 bytes. Linux is asked for them
  // at their first use, in tiles.cpp.
  const Registers palette = cpuid(0x1d, 1);
  const bool usual = palette.b == (8u << 16 | 64) && (palette.c & 0xffff) == 16;
  return usual ? 3 : 2;
}

#elif defined(__aarch64__)

constexpr const char* kLevels[] = {"neon"};

int best_level() { return 0; }

#endif

constexpr int kCount = sizeof(kLevels) / sizeof(*kLevels);
int chosen = -1;

// All kernels of all levels. The asm hides from the compiler that the ends of the list are two
// objects, which it may take to be unequal.
struct KernelList {
  const KernelEntry *first = kernels_begin, *last = kernels_end;
  KernelList() { __asm__("" : "+r"(first), "+r"(last)); }
  const KernelEntry* begin() const { return first; }
  const KernelEntry* end() const { return last; }
};

// Levels that the processor has and this build has kernels for.
void find_usable(bool (&usable)[kCount]) {
  const int best = best_level();
  for (const KernelEntry& e : KernelList())
    if (e.level <= best) usable[e.level] = true;
}

int pick_level(const bool (&usable)[kCount]) {
  std::string names;
  int best = -1;
  for (int i = 0; i < kCount; ++i) {
    if (!usable[i]) continue;
    names += (names.empty() ? "" : ", ") + std::string(kLevels[i]);
    best = i;
  }
  check(best >= 0, "flambeau: this build has no kernels that this processor can run");
  const char* pin = std::getenv("FLAMBEAU_ISA");
  if (!pin || !*pin) return best;
  for (int i = 0; i < kCount; ++i)
    if (usable[i] && std::string(pin) == kLevels[i]) return i;
  fail(ErrorKind::runtime, "FLAMBEAU_ISA: expected one of ", names,
       " on this processor and build, got '", pin, "'");
}

}  // namespace

const char* isa_level() { return chosen < 0 ? "none" : kLevels[chosen]; }

void choose_kernels() {
  if (KernelList().first == KernelList().last) return;
  bool usable[kCount] = {};
  find_usable(usable);
  chosen = pick_level(usable);
  // A slot that has no kernel of the chosen level takes the one next below.
  for (int level = 0; level <= chosen; ++level)
    for (const KernelEntry& e : KernelList())
      if (e.level == level) std::memcpy(e.slot, &e.fn, sizeof(e.fn));
}

void missing_kernel(const char* name, DeviceType device) {
  const char* where = device == DeviceType::cuda ? "cuda" : "cpu";
  fail(ErrorKind::not_implemented, name, "(): there is no kernel for device ", where);
}

}  // namespace flambeau

// The processor's matrix tiles. This file alone is compiled with their instructions, and nothing
// in it runs before tile_ops() has asked Linux for them.
#include "tiles.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// The number of a tile is part of an instruction; the compiler's own functions take it as text.
struct Hardware {
  template <int T>
  static void load(const char* p, int64_t row) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(row), "i"(T) : "memory");
  }
  template <int T>
  static void store(char* p, int64_t row) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(row), "i"(T) : "memory");
  }
  template <int T>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int C, int A, int B>
  static void add_products() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
};

void configure(int64_t rows) {
  const TileConfig config(rows);
  __asm__ volatile("ldtilecfg %0" ::"m"(config));
}
void release() { __asm__ volatile("tilerelease"); }

void ops(TileOps& o) { o = {configure, multiply<Hardware>, release}; }

}  // namespace

FLAMBEAU_REGISTER(tile_ops_kernel, ops);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

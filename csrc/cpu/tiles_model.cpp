// Matrix tiles in plain code: what csrc/cpu/tiles_amx.cpp does with instructions, with their rules.
#include "tiles.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

struct State {
  uint8_t rows[8], colsb[8];
  alignas(64) char data[8][16][64];
};
constinit thread_local State* held = nullptr;  // from configure() to release(): too large for here

void demand(bool rule) {
  if (!rule) __builtin_trap();  // the processor would fault, too
}

struct Model {
  template <int T>
  static void load(const char* p, int64_t row) {
    demand(held->rows[T] > 0);
    __builtin_memset(held->data[T], 0, sizeof(held->data[T]));
    for (int i = 0; i < held->rows[T]; ++i)
      __builtin_memcpy(held->data[T][i], p + i * row, held->colsb[T]);
  }
  template <int T>
  static void store(char* p, int64_t row) {
    demand(held->rows[T] > 0);
    for (int i = 0; i < held->rows[T]; ++i)
      __builtin_memcpy(p + i * row, held->data[T][i], held->colsb[T]);
  }
  template <int T>
  static void zero() {
    demand(held->rows[T] > 0);
    __builtin_memset(held->data[T], 0, sizeof(held->data[T]));
  }
  static float number(int tile, int row, int at) {
    uint16_t bits;
    __builtin_memcpy(&bits, held->data[tile][row] + 2 * at, 2);
    return bf16_to_float(bits);
  }
  template <int C, int A, int B>
  static void add_products() {
    demand(held->rows[C] == held->rows[A] && held->rows[C] > 0 &&
           held->colsb[A] == 4 * held->rows[B] && held->colsb[C] == held->colsb[B]);
    for (int i = 0; i < held->rows[C]; ++i)
      for (int j = 0; j < held->colsb[C] / 4; ++j) {
        float sum;
        __builtin_memcpy(&sum, held->data[C][i] + 4 * j, 4);
        for (int k = 0; k < held->rows[B]; ++k)
          for (int q = 0; q < 2; ++q) sum += number(A, i, 2 * k + q) * number(B, k, 2 * j + q);
        __builtin_memcpy(held->data[C][i] + 4 * j, &sum, 4);
      }
  }
};

void configure(int64_t rows) {
  const TileConfig config(rows);
  if (!held) held = static_cast<State*>(__builtin_malloc(sizeof(State)));
  demand(held != nullptr);
  for (int t = 0; t < 8; ++t) {
    demand(config.rows[t] <= 16 && config.colsb[t] <= 64 && !config.rows[t] == !config.colsb[t]);
    held->rows[t] = config.rows[t];
    held->colsb[t] = static_cast<uint8_t>(config.colsb[t]);
  }
}
void release() {
  __builtin_free(held);
  held = nullptr;
}

void ops(TileOps& o) { o = {configure, multiply<Model>, release}; }

}  // namespace

FLAMBEAU_REGISTER(tile_model_kernel, ops);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

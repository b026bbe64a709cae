// The loop over tiles, written once for the processor's instructions and for a model of them.
#pragma once
#include "kernels/tiles.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Registers: C is 0 1 / 2 3, A is 4 / 5, B is 6 7.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t colsb[16] = {};
  uint8_t rows[16] = {};

  explicit TileConfig(int64_t count) {
    const int64_t upper = count < 16 ? count : 16, lower = count - upper;
    for (int i = 0; i < 8; ++i) set(i, i > 5 ? 16 : i == 0 || i == 1 || i == 4 ? upper : lower);
  }
  void set(int i, int64_t n) {
    rows[i] = static_cast<uint8_t>(n);
    colsb[i] = n ? 64 : 0;  // an unused tile has neither
  }
};

constexpr int64_t kTileRow = 32 * sizeof(float);  // of c

// Low: there are rows beyond 16. Wide: there are columns beyond 16.
template <class Tiles, bool Low, bool Wide>
void multiply_tiles(const TileUnit& u) {
  char* c = reinterpret_cast<char*>(u.c);
  const int64_t below = 16 * kTileRow, half = 64;
  if (u.add) {
    Tiles::template load<0>(c, kTileRow);
    if constexpr (Wide) Tiles::template load<1>(c + half, kTileRow);
    if constexpr (Low) Tiles::template load<2>(c + below, kTileRow);
    if constexpr (Low && Wide) Tiles::template load<3>(c + below + half, kTileRow);
  } else {
    Tiles::template zero<0>();
    if constexpr (Wide) Tiles::template zero<1>();
    if constexpr (Low) Tiles::template zero<2>();
    if constexpr (Low && Wide) Tiles::template zero<3>();
  }
  const char* a = u.a;
  const int64_t a_row = u.a_row, b_row = u.b_row;
  for (int64_t s = 0; s < u.steps; ++s, a += u.a_step) {
    const int64_t at = int64_t{u.at[s]} * 4;
    Tiles::template load<6>(u.b[0] + at, b_row);
    Tiles::template load<4>(a, a_row);
    Tiles::template add_products<0, 4, 6>();
    if constexpr (Wide) {
      Tiles::template load<7>(u.b[1] + at, b_row);
      Tiles::template add_products<1, 4, 7>();
    }
    if constexpr (Low) {
      Tiles::template load<5>(a + 16 * a_row, a_row);
      Tiles::template add_products<2, 5, 6>();
    }
    if constexpr (Low && Wide) Tiles::template add_products<3, 5, 7>();
  }
  Tiles::template store<0>(c, kTileRow);
  if constexpr (Wide) Tiles::template store<1>(c + half, kTileRow);
  if constexpr (Low) Tiles::template store<2>(c + below, kTileRow);
  if constexpr (Low && Wide) Tiles::template store<3>(c + below + half, kTileRow);
}

template <class Tiles>
void multiply(const TileUnit& u) {
  const bool wide = u.b[1] != nullptr;
  if (u.rows > 16)
    wide ? multiply_tiles<Tiles, true, true>(u) : multiply_tiles<Tiles, true, false>(u);
  else
    wide ? multiply_tiles<Tiles, false, true>(u) : multiply_tiles<Tiles, false, false>(u);
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

// Products of bfloat16 on a processor's matrix tiles (AMX): the interface between the code that
// cuts products into units and the few instructions that need the processor.
#pragma once
#include "dispatch.h"

namespace flambeau {

// c[i][j] (+)= sum over steps s, pairs k < 16 and both numbers of a pair of
// a[s][i][k] * b[at[s]][k][j], for 32 rows and columns at most.
struct TileUnit {
  int64_t rows;  // as configured
  const char* a;
  int64_t a_row,
      a_step;  // bytes from a row to the next, and from one step's 16 pairs to the next's
  const char* b[2];       // 16 columns each, 4 bytes a pair; the second null where there are 16
  int64_t b_row;          // bytes from a pair to the next along the reduction
  const int32_t* at;      // pairs (of 4 bytes) from b to what each step reads
  int64_t steps;
  float* c;  // [32][32]
  bool add;  // to what c holds
};

struct TileOps {
  void (*configure)(int64_t rows);  // of a and c, at most 32; before `multiply`, on each thread
  void (*multiply)(const TileUnit& unit);
  void (*release)();
};

// The processor's own, entered at the level that has them.
inline Kernel<void(TileOps&)> tile_ops_kernel{"tiles"};
// The same in plain code, for tests and to hold the processor's against.
inline Kernel<void(TileOps&)> tile_model_kernel{"tiles"};

// What bfloat16 products are to use, null for no tiles: decided at the first call. Linux is asked
// for the tiles then, and one product of small integers must come out right. FLAMBEAU_TILES=model
// takes the plain code instead, FLAMBEAU_TILES=off none.
const TileOps* tile_ops();

}  // namespace flambeau

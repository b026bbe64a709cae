// Whether bfloat16 products use the processor's matrix tiles.
#include <cstdlib>
#include <cstring>

#include "kernels/tiles.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace flambeau {
namespace {

// Linux hands out the 8 KB of tile state to a process on request, for all its threads and for what
// it forks. It refuses where a signal stack is too small for it, a container may refuse, too.
bool granted() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr int kGetXcompPerm = 0x1022, kReqXcompPerm = 0x1023, kTileData = 18;
  uint64_t have = 0;
  return syscall(SYS_arch_prctl, kReqXcompPerm, kTileData) == 0 &&
         syscall(SYS_arch_prctl, kGetXcompPerm, &have) == 0 && (have >> kTileData & 1);
#else
  return false;
#endif
}

uint16_t small_number(int i) {
  const auto v = static_cast<float>(i % 15 - 7);  // exact, and sums of products are, too
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return static_cast<uint16_t>(bits >> 16);
}

// `rows` x 32 (or 16) over two steps, twice: the second adds to the first.
bool agree(const TileOps& x, const TileOps& y, int rows, bool wide) {
  alignas(64) static uint16_t a[2][32][32], b[2][16][32][2];
  alignas(64) static float c[2][32][32];
  for (int i = 0; i < 2048; ++i) {
    (&a[0][0][0])[i] = small_number(7 * i + i / 32);
    (&b[0][0][0][0])[i] = small_number(11 * i + i / 64 + 3);
  }
  const int32_t at[2] = {0, 512};
  for (int side = 0; side < 2; ++side) {
    const TileOps& ops = side ? y : x;
    TileUnit u{rows, reinterpret_cast<const char*>(a), 64, 2048, {}, 128, at, 2, &c[side][0][0],
               false};
    u.b[0] = reinterpret_cast<const char*>(b);
    u.b[1] = wide ? u.b[0] + 64 : nullptr;
    ops.configure(rows);
    ops.multiply(u);
    u.add = true;
    ops.multiply(u);
    ops.release();
  }
  for (int i = 0; i < rows; ++i)
    if (std::memcmp(c[0][i], c[1][i], wide ? 128 : 64) != 0) return false;
  return true;
}

const TileOps* decide() {
  static TileOps hardware{}, model{};
  const char* wanted = std::getenv("FLAMBEAU_TILES");
  if (wanted && std::strcmp(wanted, "off") == 0) return nullptr;
  if (tile_model_kernel.cpu) tile_model_kernel.cpu(model);
  if (wanted && std::strcmp(wanted, "model") == 0) return model.multiply ? &model : nullptr;
  if (!tile_ops_kernel.cpu || !model.multiply || !granted()) return nullptr;
  tile_ops_kernel.cpu(hardware);
  const bool right = agree(hardware, model, 32, true) && agree(hardware, model, 21, true) &&
                     agree(hardware, model, 7, false);
  return right ? &hardware : nullptr;
}

}  // namespace

const TileOps* tile_ops() {
  static const TileOps* const ops = decide();
  return ops;
}

}  // namespace flambeau

// Working memory of a thread.
#include "scratch.h"

#include <new>

namespace flambeau {
namespace {

constexpr std::align_val_t kAlign{64};

struct Buffers {
  struct {
    void* data = nullptr;
    size_t bytes = 0;
  } slots[static_cast<int>(Scratch::count)];
  ~Buffers() {
    for (auto& s : slots) ::operator delete(s.data, kAlign);
  }
};
thread_local Buffers buffers;

}  // namespace

void* scratch(Scratch slot, size_t bytes) {
  auto& s = buffers.slots[static_cast<int>(slot)];
  if (s.bytes < bytes) {
    const size_t wanted = (bytes + bytes / 4 + 4095) & ~size_t{4095};
    ::operator delete(s.data, kAlign);
    s = {};
    s.data = ::operator new(wanted, kAlign);
    s.bytes = wanted;
  }
  return s.data;
}

}  // namespace flambeau

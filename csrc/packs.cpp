// Keeps packed weights in a list that hangs on the storage they were made from.
#include "packs.h"

#include <unistd.h>

namespace flambeau {
namespace {

struct Kept {
  Kept* next;
  Pack kind;
  DType dtype;
  uint32_t writes;  // of the storage when it was seen or packed
  int64_t variant, offset;
  Ints sizes, strides;
  Ref<Storage> data;  // none yet after the first sight

  bool is(Pack k, int64_t v, const Tensor& w) const {
    return kind == k && variant == v && dtype == w.dtype() && offset == w->offset &&
           sizes == w.sizes() && strides == w.strides();
  }
};

size_t kept_bytes = 0;

size_t most_bytes() {
  static const size_t most = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) *
                             static_cast<size_t>(sysconf(_SC_PAGE_SIZE)) / 4;
  return most;
}

void forget(Kept& k) {
  if (k.data) kept_bytes -= k.data->nbytes;
  k.data = nullptr;
}

// The entry of w, null at its first sight.
Kept* entry(Pack kind, int64_t variant, const Tensor& w) {
  Storage& s = *w->storage;
  for (auto* k = static_cast<Kept*>(s.packs); k; k = k->next)
    if (k->is(kind, variant, w)) return k;
  constexpr int kMost = 8;  // views of one memory: more are not weights
  int count = 0;
  for (auto* k = static_cast<Kept*>(s.packs); k; k = k->next) ++count;
  if (count < kMost)
    s.packs = new Kept{static_cast<Kept*>(s.packs),
                       kind,
                       w.dtype(),
                       s.home().writes,
                       variant,
                       w->offset,
                       w.sizes(),
                       w.strides(),
                       {}};
  return nullptr;
}

}  // namespace

Ref<Storage> kept_pack(Pack kind, int64_t variant, const Tensor& w, size_t nbytes,
                       const std::function<void(void*)>& fill) {
  Storage& s = *w->storage;
  if (!s.stands_still() || s.device.type != DeviceType::cpu || nbytes == 0) return nullptr;
  const uint32_t writes = s.home().writes;
  Kept* k = entry(kind, variant, w);
  if (!k) return nullptr;
  if (k->writes != writes) {
    forget(*k);
    k->writes = writes;
    return nullptr;
  }
  if (k->data) return k->data;
  if (kept_bytes + nbytes > most_bytes()) return nullptr;
  Ref<Storage> data = Storage::allocate(nbytes, s.device);
  fill(data->data);
  // While threads were filling it, others of the program may have run.
  k = entry(kind, variant, w);
  if (k && !k->data && k->writes == writes && s.home().writes == writes) {
    k->data = data;
    kept_bytes += nbytes;
  }
  return data;
}

void drop_packs(Storage& s) {
  auto* k = static_cast<Kept*>(s.packs);
  s.packs = nullptr;
  while (k) {
    forget(*k);
    delete std::exchange(k, k->next);
  }
}

}  // namespace flambeau

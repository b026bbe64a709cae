// Storage and the caching allocator of CPU memory.
#include "storage.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <new>
#include <ostream>
#include <utility>
#include <vector>

#include "arena.h"
#include "fused.h"
#include "packs.h"

namespace flambeau {
namespace {

// Blocks are cached in size classes, four to each doubling, and from kLarge bytes on in an arena of
// huge pages. What is freed is kept while the cache has less than kKeep bytes, and beyond that
// while no more is held than was once in use: a program whose every step needs several GB gets the
// same pages again. The rest goes to the system.
constexpr size_t kAlign = 64;
constexpr size_t kSmallest = 64;
constexpr int kClasses = 4 * 42;
constexpr size_t kKeep = size_t(1) << 30;
constexpr size_t kLarge = size_t(1) << 20;

struct SpinLock {
  std::atomic_flag flag = ATOMIC_FLAG_INIT;
  void lock() {
    while (flag.test_and_set(std::memory_order_acquire)) {
    }
  }
  void unlock() { flag.clear(std::memory_order_release); }
};

struct FreeBlock {
  FreeBlock* next;
};

struct Cache {
  SpinLock lock;
  FreeBlock* free[kClasses] = {};
  Arena arena;
  MemoryStats stats;
};

Cache& cache() {
  static Cache* c = new Cache;  // outlives every static tensor
  return *c;
}

struct SizeClass {
  int index;
  size_t bytes;
};

SizeClass size_class(size_t n) {
  if (n <= kSmallest) return {0, kSmallest};
  int top = std::bit_width(n - 1) - 1;  // n in (2^top, 2^(top+1)]
  size_t step = size_t(1) << (top - 2);
  if (step < kAlign) step = kAlign;
  size_t bytes = (n + step - 1) / step * step;
  int quarter = static_cast<int>((bytes - (size_t(1) << top)) / step) - 1;
  return {4 * (top - 5) + quarter, bytes};
}

void* system_allocate(size_t bytes) {
  void* p = nullptr;
  return posix_memalign(&p, kAlign, bytes) ? nullptr : p;
}

void count_use(MemoryStats& stats, size_t bytes) {
  ++stats.allocations;
  stats.in_use += static_cast<int64_t>(bytes);
  if (stats.in_use > stats.peak) stats.peak = stats.in_use;
}

bool keeps(const MemoryStats& stats) {
  return stats.cached <= static_cast<int64_t>(kKeep) || stats.in_use + stats.cached <= stats.peak;
}

void* allocate_large(size_t bytes) {
  Cache& c = cache();
  const std::lock_guard hold(c.lock);
  const Arena::Taken taken = c.arena.take(bytes);
  if (!taken.data) return nullptr;
  count_use(c.stats, bytes);
  c.stats.cached -= static_cast<int64_t>(bytes - taken.fresh);
  c.stats.system_allocations += taken.fresh > 0;
  return taken.data;
}

void free_large(void* p, size_t bytes) {
  Cache& c = cache();
  const std::lock_guard hold(c.lock);
  c.arena.give(p, bytes);
  c.stats.in_use -= static_cast<int64_t>(bytes);
  c.stats.cached += static_cast<int64_t>(bytes);
  if (!keeps(c.stats)) c.stats.cached -= static_cast<int64_t>(c.arena.release(p));
}

[[noreturn]] void out_of_memory(size_t nbytes) {
  fail(ErrorKind::out_of_memory, "out of memory: tried to allocate ", nbytes, " bytes");
}

}  // namespace

MemoryStats& cpu_memory_stats() { return cache().stats; }

void* cpu_allocate(size_t nbytes) {
  if (nbytes == 0) return nullptr;
  if (nbytes > (size_t(1) << 46)) out_of_memory(nbytes);
  if (nbytes >= kLarge) {
    void* p = allocate_large(Arena::rounded(nbytes));
    if (!p) {
      cpu_empty_cache();
      p = allocate_large(Arena::rounded(nbytes));
    }
    if (!p) out_of_memory(nbytes);
    return p;
  }
  auto [index, bytes] = size_class(nbytes);
  Cache& c = cache();
  c.lock.lock();
  count_use(c.stats, bytes);
  FreeBlock* b = c.free[index];
  if (b) {
    c.free[index] = b->next;
    c.stats.cached -= static_cast<int64_t>(bytes);
    c.lock.unlock();
    return b;
  }
  ++c.stats.system_allocations;
  c.lock.unlock();
  void* p = system_allocate(bytes);
  if (!p) {
    cpu_empty_cache();
    p = system_allocate(bytes);
  }
  if (!p) {
    c.lock.lock();
    c.stats.in_use -= static_cast<int64_t>(bytes);
    c.lock.unlock();
    out_of_memory(nbytes);
  }
  return p;
}

void cpu_free(void* p, size_t nbytes) {
  if (!p) return;
  if (nbytes >= kLarge) return free_large(p, Arena::rounded(nbytes));
  auto [index, bytes] = size_class(nbytes);
  Cache& c = cache();
  c.lock.lock();
  c.stats.in_use -= static_cast<int64_t>(bytes);
  c.stats.cached += static_cast<int64_t>(bytes);
  if (!keeps(c.stats)) {
    c.stats.cached -= static_cast<int64_t>(bytes);
    c.lock.unlock();
    std::free(p);
    return;
  }
  auto* b = static_cast<FreeBlock*>(p);
  b->next = c.free[index];
  c.free[index] = b;
  c.lock.unlock();
}

void cpu_empty_cache() {
  Cache& c = cache();
  std::vector<FreeBlock*> lists;
  {
    const std::lock_guard hold(c.lock);
    for (int k = 0; k < kClasses; ++k)
      if (c.free[k]) lists.push_back(std::exchange(c.free[k], nullptr));
    c.arena.release_all();
    c.stats.cached = static_cast<int64_t>(c.arena.idle());
  }
  for (FreeBlock* b : lists) {
    while (b) {
      FreeBlock* next = b->next;
      std::free(b);
      b = next;
    }
  }
}

// -- devices --------------------------------------------------------------------------------------
// Beyond those of DeviceType there are only names, in the order of PyTorch's numbers (one more than
// these, but for the first two); no tensor is ever on such a device.
namespace {
constexpr const char* kDeviceNames[] = {"cpu",   "meta", "cuda", "mkldnn",       "opengl", "opencl",
                                        "ideep", "hip",  "fpga", "maia",         "xla",    "vulkan",
                                        nullptr, "xpu",  "mps",  nullptr,        "hpu",    "ve",
                                        "lazy",  "ipu",  "mtia", "privateuseone"};
}  // namespace

const char* device_type_name(DeviceType t) { return kDeviceNames[static_cast<int>(t)]; }

std::ostream& operator<<(std::ostream& os, Device d) {
  os << device_type_name(d.type);
  if (d.index >= 0) os << ":" << d.index;
  return os;
}

Device parse_device(const std::string& text) {
  Device d;
  size_t colon = text.find(':');
  std::string type = text.substr(0, colon);
  const auto* found = std::find_if(std::begin(kDeviceNames), std::end(kDeviceNames),
                                   [&](const char* name) { return name && type == name; });
  if (found == std::end(kDeviceNames))
    fail(ErrorKind::runtime,
         "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, "
         "xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device "
         "string: ",
         text);
  d.type = static_cast<DeviceType>(found - kDeviceNames);
  if (colon != std::string::npos) {
    std::string digits = text.substr(colon + 1);
    bool good = !digits.empty() && digits.size() < 4 &&
                digits.find_first_not_of("0123456789") == std::string::npos &&
                (digits == "0" || digits[0] != '0');
    check(good, "Invalid device string: '", text, "'");
    d.index = static_cast<int16_t>(std::stoi(digits));
  }
  return d;
}

// -- storage --------------------------------------------------------------------------------------
namespace {
void check_device(Device device) {
  if (device.type == DeviceType::cpu || device.type == DeviceType::meta) return;
  const std::string_view name = device_type_name(device.type);
  if (name == "cuda") fail(ErrorKind::runtime, "Torch not compiled with CUDA enabled");
  if (name == "xpu") fail(ErrorKind::runtime, "Torch not compiled with XPU enabled");
  if (name == "mtia") fail(ErrorKind::runtime, "Torch not compiled with MTIA enabled");
  fail(ErrorKind::not_implemented, "flambeau was not built for this kind of device: no memory on ",
       device);
}

// Small storages keep their header and their data in one block of the allocator.
constexpr size_t kHeader = (sizeof(Storage) + kAlign - 1) / kAlign * kAlign;
constexpr size_t kJoined = 4096;
}  // namespace

Ref<Storage> Storage::allocate(size_t nbytes, Device device) {
  if (device.type == DeviceType::cpu && nbytes <= kJoined) {
    void* block = cpu_allocate(kHeader + nbytes);
    auto* s = new (block) Storage;
    s->device = device;
    s->data = static_cast<char*>(block) + kHeader;
    s->nbytes = nbytes;
    s->joined = static_cast<uint16_t>(nbytes + 1);
    return Ref<Storage>::adopt(s);
  }
  check_device(device);
  void* data = device.type == DeviceType::cpu ? cpu_allocate(nbytes) : nullptr;
  auto* s = new Storage;
  s->device = device;
  s->data = data;
  s->nbytes = nbytes;
  return Ref<Storage>::adopt(s);
}

Ref<Storage> Storage::foreign(void* data, size_t nbytes, Device device, void* owner,
                              void (*free_foreign)(void*)) {
  auto* s = new Storage;
  s->device = device;
  s->data = data;
  s->nbytes = nbytes;
  s->resizable = false;
  s->outside = true;
  s->owner = owner;
  s->free_foreign = free_foreign;
  return Ref<Storage>::adopt(s);
}

Ref<Storage> Storage::part(const Ref<Storage>& of, size_t begin, size_t nbytes) {
  auto* keep = new Ref<Storage>(of->whole ? Ref<Storage>(of->whole) : of);
  Ref<Storage> s = foreign(static_cast<char*>(of->data) + begin, nbytes, of->device, keep,
                           [](void* kept) { delete static_cast<Ref<Storage>*>(kept); });
  s->outside = of->outside;
  s->whole = keep->get();
  s->whole->has_parts = true;
  return s;
}

Ref<Storage> Storage::reserve(size_t nbytes) {
  auto* s = new Storage;
  s->nbytes = nbytes;
  return Ref<Storage>::adopt(s);
}

void Storage::back() { data = cpu_allocate(nbytes); }
void Storage::unback() { cpu_free(std::exchange(data, nullptr), nbytes); }

void Storage::lend() {
  if (fused_open) settle_fused();
  ++lent, ++home().writes;
  if (whole) ++whole->lent;  // for good: the other parts cannot know when it ends
}

bool Storage::in_header() const {
  return joined && data == reinterpret_cast<const char*>(this) + kHeader;
}

void Storage::release_data() {
  if (packs) drop_packs(*this);
  if (free_foreign) {
    free_foreign(owner);
    free_foreign = nullptr;
    owner = nullptr;
    whole = nullptr;
  } else if (data && device.type == DeviceType::cpu && !in_header()) {
    cpu_free(data, nbytes);
  }
  data = nullptr;
}

void Storage::resize(size_t n) {
  if (n == nbytes) return;
  if (fused_open) settle_fused();
  check(resizable && !lent, "Trying to resize storage that is not resizable");
  if (device.type == DeviceType::cpu) {
    void* fresh = cpu_allocate(n);
    size_t kept = n < nbytes ? n : nbytes;
    if (kept) std::memcpy(fresh, data, kept);
    release_data();
    data = fresh;
  }
  nbytes = n;
}

namespace {
// Memory of somebody else in place of earlier bytes, which are kept as long.
struct Taken {
  void* owner;
  void (*free_owner)(void*);
  Storage* before;

  static void free(void* self) {
    auto* taken = static_cast<Taken*>(self);
    taken->free_owner(taken->owner);
    taken->before->destroy();
    delete taken;
  }
};
}  // namespace

void Storage::take(Storage& other) {
  check(&other != this && other.free_foreign, "only memory of somebody else can be taken");
  if (fused_open) settle_fused();
  if ((lent || has_parts) && !in_header()) {  // who looks at the old bytes holds this storage
    if (packs) drop_packs(*this);
    auto* before = new Storage;
    before->data = data, before->nbytes = nbytes;
    before->owner = std::exchange(owner, nullptr);
    before->free_foreign = std::exchange(free_foreign, nullptr);
    other.owner = new Taken{other.owner, other.free_foreign, before};
    other.free_foreign = Taken::free;
  } else {
    release_data();
  }
  data = std::exchange(other.data, nullptr);
  nbytes = std::exchange(other.nbytes, 0);
  owner = std::exchange(other.owner, nullptr);
  free_foreign = std::exchange(other.free_foreign, nullptr);
  whole = std::exchange(other.whole, nullptr);
  resizable = false, outside = other.outside;
}

void Storage::destroy() {
  forget_fused(this);
  release_data();
  if (joined) {
    size_t block = kHeader + joined - 1;
    this->~Storage();
    cpu_free(this, block);
  } else {
    delete this;
  }
}

}  // namespace flambeau

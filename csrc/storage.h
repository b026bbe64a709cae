// A block of memory that tensors view, and the allocators behind it.
#pragma once
#include "common.h"
#include "dispatch.h"

namespace flambeau {

struct Device {
  DeviceType type = DeviceType::cpu;
  int16_t index = -1;
  friend bool operator==(const Device&, const Device&) = default;
};
std::ostream& operator<<(std::ostream& os, Device d);
Device parse_device(const std::string& text);  // "cpu", "meta", "cuda:1"
const char* device_type_name(DeviceType t);
// Where factories put tensors when no device is named: `with flambeau.device("meta")` changes it.
inline Device& default_device() {
  static Device device;
  return device;
}

// Caching allocator of CPU memory: size classes, 64-byte alignment, huge pages for large blocks.
void* cpu_allocate(size_t nbytes);            // throws out_of_memory; never null for nbytes > 0
void cpu_free(void* p, size_t nbytes);        // the size given to cpu_allocate
void cpu_empty_cache();
struct MemoryStats {
  int64_t in_use = 0, peak = 0, cached = 0, allocations = 0, system_allocations = 0;
};
MemoryStats& cpu_memory_stats();

// Some result is still to be computed (fused.h); and does so.
inline bool fused_open = false;
void settle_fused();
// What its last step reads, where that alone keeps it open: whoever holds it is about to let go.
struct Storage;
inline const Storage* fused_operand = nullptr;
void release_fused() noexcept;  // one holder less

struct Storage {
  uint32_t refs = 1;
  uint32_t version = 0;  // counts in-place writes: views share it
  uint32_t writes = 0;   // the same, with those that autograd does not see: see home()
  uint32_t lent = 0;  // arrays and buffers over this memory, or a part: it stays where it is
  Device device;
  uint16_t joined = 0;  // 1 + bytes of data that follow this header in one block
  bool resizable = true;
  bool outside = false;  // somebody else may write to the memory, too
  bool has_parts = false;
  uint8_t followers = 0;  // of a weight: operators run as one with its product, see fused.h
  void* data = nullptr;  // of a result that is still to be computed: null, see fused.h
  size_t nbytes = 0;
  void (*free_foreign)(void* owner) = nullptr;  // memory of somebody else (NumPy, DLPack, mmap)
  void* owner = nullptr;  // of such memory
  Storage* whole = nullptr;  // of a part of another storage: that one
  void* packs = nullptr;     // made from it, see packs.h
  void* pyobj = nullptr;  // borrowed: the UntypedStorage object, if one lives

  static Ref<Storage> allocate(size_t nbytes, Device device);
  static Ref<Storage> foreign(void* data, size_t nbytes, Device device, void* owner,
                              void (*free_foreign)(void*));
  // Bytes of foreign memory as a storage of their own.
  static Ref<Storage> part(const Ref<Storage>& of, size_t begin, size_t nbytes);
  static Ref<Storage> reserve(size_t nbytes);  // without its memory, on the CPU
  void back();  // gives a reserved one its memory
  void unback();
  void resize(size_t nbytes);
  Storage& home() { return whole ? *whole : *this; }  // where writes to the same bytes are counted
  // Nobody outside can write to it behind our back.
  bool stands_still() { return !outside && !home().lent; }
  void lend();  // its address is about to be known outside
  void take(Storage& other);  // other's foreign memory becomes this one's; other is left empty
  void destroy();

 private:
  bool in_header() const;  // the data still lies behind this header
  void release_data();
};

}  // namespace flambeau

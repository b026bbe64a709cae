// Kernel slots: the only thing that ops/ and cpu/ share. A slot is declared once in
// kernels/<family>.h; each cpu/<family>.cpp enters its function, once per instruction-set level.
#pragma once
#include <cstdint>

namespace flambeau {

enum class DeviceType : int8_t { cpu = 0, meta = 1, cuda = 2 };

[[noreturn]] void missing_kernel(const char* name, DeviceType device);

template <class Signature>
struct Kernel;

template <class... A>
struct Kernel<void(A...)> {
  using Fn = void (*)(A...);
  const char* name;
  Fn cpu = nullptr;

  // On meta tensors nothing is computed: the shapes are all there is.
  void operator()(DeviceType device, A... a) const {
    if (device == DeviceType::cpu && cpu) [[likely]]
      return cpu(a...);
    if (device != DeviceType::meta) missing_kernel(name, device);
  }
};

// One entry of the linker section in which every level lists its kernels: data, no code, so that
// nothing compiled for a higher level runs before the level is chosen. The alignment is the size:
// without it compilers pad some entries, and the section would not be an array.
struct alignas(32) KernelEntry {
  void* slot;  // Kernel<...>::cpu
  int level;   // index in kLevels
  void* fn;
};

// Instruction-set levels in ascending order; the best that the processor has is taken at import,
// FLAMBEAU_ISA pins a lower one.
const char* isa_level();
void choose_kernels();

}  // namespace flambeau

// Compiled with FLAMBEAU_ISA (the namespace: v2, v3, v4, amx, neon) and FLAMBEAU_LEVEL (its index).
#if defined(__APPLE__)
#define FLAMBEAU_SECTION "__DATA,flambeau_kern"
#else
#define FLAMBEAU_SECTION "flambeau_kernels"
#endif
// clang-format off
#define FLAMBEAU_REGISTER(slot_, fn_)                                               \
  __attribute__((used, section(FLAMBEAU_SECTION)))                                  \
  static ::flambeau::KernelEntry flambeau_entry_##slot_ = {                         \
      (void*)&::flambeau::slot_.cpu, FLAMBEAU_LEVEL,                                \
      (void*)(decltype(::flambeau::slot_.cpu))(&fn_)}
// clang-format on

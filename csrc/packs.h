// Packed forms of weights, kept beside the memory that they were made from: a weight that stands
// still is packed once, not in every product. A pack serves while nothing has written to the memory
// (Storage::writes) and goes with it.
#pragma once
#include <functional>

#include "tensor.h"

namespace flambeau {

enum class Pack : uint8_t { products, filters, recurrent };

// The form `kind` of w (and of whatever `variant` counts), `nbytes` long, from earlier calls or
// made by `fill`. Null where it does not pay or is not safe: at the first sight of w (it may never
// come back), where somebody outside can write to its memory, and when all packs together take a
// quarter of the machine's memory. The caller holds the reference while it reads.
Ref<Storage> kept_pack(Pack kind, int64_t variant, const Tensor& w, size_t nbytes,
                       const std::function<void(void*)>& fill);

void drop_packs(Storage& storage);

}  // namespace flambeau

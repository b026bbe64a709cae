// Working memory of the calling thread: grows, is reused, and is freed with the thread.
#pragma once
#include <cstddef>

namespace flambeau {

// Slots are held at the same time; a call may move what an earlier call for its slot returned.
enum class Scratch { packed_a, packed_b, shared, output, columns, phases, count };

// At least `bytes` bytes, aligned to 64; the contents are undefined. Throws std::bad_alloc.
void* scratch(Scratch slot, size_t bytes);

}  // namespace flambeau

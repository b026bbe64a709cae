// Memory that a write and a read share in part.
#pragma once

#include <string>

#include "tensor.h"

namespace flambeau {

// Refuses to write `out` while `in` is read from some, but not exactly the same, of its memory.
void check_no_partial_overlap(const Tensor& out, const Tensor& in, const char* op);
// Refuses it where all of the memory is the same, too.
void check_no_overlap(const Tensor& out, const Tensor& in, const char* op);

// Whether several positions are one place in memory, as expand() makes them.
bool repeats(const Tensor& t);

// A UserWarning; the module sets it when it is loaded.
extern void (*warn)(const std::string& text);
void warn_of_expanded(const char* op);
void warn_of_resize(const Ints& had, const Tensor& out);  // of an out= tensor, now of another shape

}  // namespace flambeau

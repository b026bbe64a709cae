// Element types that are kept, moved and converted, but that no kernel knows.
#pragma once
#include "op.h"

namespace flambeau {

// Numbered on from the kernels' types; their rows of kDTypes stand in this order.
constexpr DType stored(int i) { return static_cast<DType>(kDTypeCount + i); }
constexpr DType kComplex32 = stored(0);  // computed with as complex64
constexpr DType kFloat8E4M3fnuz = stored(1), kFloat8E5M2fnuz = stored(2),
                kFloat8E8M0fnu = stored(3);
// The rest are opaque bytes: a pair of 4-bit floats, integers below a byte, bits, quantized.
constexpr int kAllDTypes = kDTypeCount + 4 + 25;

inline bool is_stored(DType t) { return static_cast<int>(t) >= kDTypeCount; }

// Refuses an element type that an operator has no arithmetic for.
template <class Name>
void check_implemented(bool ok, const Name& op, DType t) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::not_implemented, '"', op, "\" not implemented for '", t, "'");
}

DType promote_stored(DType a, DType b);
Tensor widened(const Tensor& t);  // as complex64 or float32
Tensor carried(const Tensor& t);  // the same memory under a plain type of that size
void copy_stored(const Tensor& dst, const Tensor& src);  // of one shape; either may be stored
void fill_stored(const Tensor& t, const Scalar& value);

bool takes_stored(const Op& op, const Value* args);  // whether a tensor argument is of such a type
// The call of an operator that takes one: over carried memory for what moves elements, in complex64
// for complex32; anything else is an error. False: it runs as it is (views, copies).
bool call_stored(const Op& op, Value* args, Value* results);
bool call_stored_inplace(const Op& op, Value* args);

}  // namespace flambeau

// Copying and moving Values.
#include "value.h"

namespace flambeau {

void Value::copy_from(const Value& o) {
  switch (o.tag_) {
    case tensor:
      impl_ = o.impl_;
      ++impl_->refs;
      break;
    case ints:
    case shape: new (&ints_) Ints(o.ints_); break;
    case tensors: tensors_ = new TensorList(*o.tensors_); break;
    case floats: floats_ = new std::vector<double>(*o.floats_); break;
    case string: string_ = new std::string(*o.string_); break;
    case none: break;
    default: scalar_ = o.scalar_;  // the widest of the plain members
  }
  tag_ = o.tag_;
  dtype_of_shape_ = o.dtype_of_shape_;
}

void Value::steal(Value& o) noexcept {
  switch (o.tag_) {
    case ints:
    case shape:
      new (&ints_) Ints(std::move(o.ints_));
      o.ints_.~Ints();
      break;
    case none: break;
    default: scalar_ = o.scalar_;  // pointers and plain members alike
  }
  tag_ = o.tag_;
  dtype_of_shape_ = o.dtype_of_shape_;
  o.tag_ = none;
}

}  // namespace flambeau

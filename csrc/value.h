// An operator's argument or result: what a schema can name, in one tagged box.
#pragma once
#include <memory>
#include <string>

#include "tensor.h"

namespace flambeau {

class Generator;  // random.h

class Value {
 public:
  enum Tag : uint8_t {
    none,
    tensor,
    scalar,
    ints,
    tensors,
    floats,
    string,
    dtype,
    device,
    layout,
    memory_format,
    generator,
    shape,  // in a node: the sizes and dtype of a tensor that was not saved
  };

  Value() : tag_(none) {}
  Value(Tensor t) : tag_(t.defined() ? tensor : none) {  // NOLINT(*-explicit-*) throughout
    if (tag_ == tensor) impl_ = t.release();
  }
  Value(const Scalar& s) : tag_(scalar) { scalar_ = s; }
  Value(bool b) : Value(Scalar(b)) {}
  Value(int i) : Value(Scalar(i)) {}
  Value(int64_t i) : Value(Scalar(i)) {}
  Value(double d) : Value(Scalar(d)) {}
  Value(Ints v) : tag_(ints) { new (&ints_) Ints(std::move(v)); }
  Value(TensorList v) : tag_(tensors) { tensors_ = new TensorList(std::move(v)); }
  Value(std::vector<double> v) : tag_(floats) { floats_ = new std::vector<double>(std::move(v)); }
  Value(std::string v) : tag_(string) { string_ = new std::string(std::move(v)); }
  Value(const char* v) : Value(std::string(v)) {}
  Value(DType v) : tag_(dtype) { dtype_ = v; }
  Value(Device v) : tag_(device) { device_ = v; }
  Value(Layout v) : tag_(layout) { layout_ = v; }
  Value(MemoryFormat v) : tag_(memory_format) { format_ = v; }
  Value(Generator* v) : tag_(v ? generator : none) { generator_ = v; }
  template <class T>
  Value(const std::optional<T>& v) : Value() {
    if (v) *this = Value(*v);
  }
  static Value shape_of(const Tensor& t) {
    Value v(t.sizes());
    v.tag_ = shape;
    v.dtype_of_shape_ = t.dtype();
    return v;
  }
  Value(const Value& o) : tag_(none) { copy_from(o); }
  Value(Value&& o) noexcept : tag_(none) { steal(o); }
  Value& operator=(const Value& o) {
    if (this != &o) {
      clear();
      copy_from(o);
    }
    return *this;
  }
  Value& operator=(Value&& o) noexcept {
    if (this != &o) {
      clear();
      steal(o);
    }
    return *this;
  }
  ~Value() { clear(); }

  Tag tag() const { return tag_; }
  bool is_none() const { return tag_ == none; }
  bool is_tensor() const { return tag_ == tensor; }
  bool is_scalar() const { return tag_ == scalar; }

  // The tensor, or an undefined one for None. Borrowed: valid while the Value is.
  const Tensor& as_tensor() const {
    static const Tensor undefined;
    return tag_ == tensor ? reinterpret_cast<const Tensor&>(impl_) : undefined;
  }
  const Scalar& as_scalar() const { return scalar_; }
  int64_t as_int() const { return scalar_.to<int64_t>(); }
  double as_double() const { return scalar_.to<double>(); }
  bool as_bool() const { return scalar_.i != 0; }
  const Ints& as_ints() const { return ints_; }
  const TensorList& as_tensors() const { return *tensors_; }
  TensorList& as_tensors() { return *tensors_; }
  const std::vector<double>& as_floats() const { return *floats_; }
  const std::string& as_string() const { return *string_; }
  DType as_dtype() const { return dtype_; }
  Device as_device() const { return device_; }
  Layout as_layout() const { return layout_; }
  MemoryFormat as_memory_format() const { return format_; }
  Generator* as_generator() const { return tag_ == generator ? generator_ : nullptr; }
  DType shape_dtype() const { return dtype_of_shape_; }

 private:
  void clear();
  void copy_from(const Value& o);
  void steal(Value& o) noexcept;

  Tag tag_;
  DType dtype_of_shape_ = DType::float32;
  union {
    TensorImpl* impl_;
    Scalar scalar_;
    Ints ints_;
    TensorList* tensors_;
    std::vector<double>* floats_;
    std::string* string_;
    DType dtype_;
    Device device_;
    Layout layout_;
    MemoryFormat format_;
    Generator* generator_;
  };
};

inline void Value::clear() {
  switch (tag_) {
    case tensor:
      if (--impl_->refs == 0) impl_->destroy();
      break;
    case ints:
    case shape: ints_.~Ints(); break;
    case tensors: delete tensors_; break;
    case floats: delete floats_; break;
    case string: delete string_; break;
    default: break;
  }
  tag_ = none;
}

}  // namespace flambeau

// The tensor: a strided view of a storage, with its autograd state.
#pragma once
#include <optional>
#include <vector>

#include "dtype.h"
#include "storage.h"

namespace flambeau {

struct AutogradMeta;  // autograd.h
struct TensorImpl;
class Tensor;

enum class Layout : uint8_t { strided, sparse_coo, sparse_csr, sparse_csc };
enum class MemoryFormat : uint8_t { contiguous, preserve, channels_last, channels_last_3d };

struct Options {
  DType dtype = default_dtype();
  Device device;
};

struct TensorImpl {
  uint32_t refs = 1;
  DType dtype;
  Device device;
  bool contiguous = true;       // in row-major order
  bool detached_version = false;  // made by .data: writes through it are not counted
  bool inference = false;       // made under inference_mode
  bool owns_pyobj = false;      // Python let go first: the object is kept for its class and dict
  Layout layout = Layout::strided;  // else the elements are with the Python object: sparse.h
  Ref<Storage> storage;
  int64_t offset = 0;  // in elements
  int64_t numel = 1;
  Ints sizes, strides;
  AutogradMeta* autograd = nullptr;  // owned; null until something about gradients is asked or set
  void* pyobj = nullptr;  // borrowed: the Python object, if one lives

  void destroy();
  void refresh();  // numel and contiguous from sizes and strides
};

// Set by the binding; called by destroy() when owns_pyobj. Gives the Python object up; true when
// Python got hold of it again meanwhile: then it owns the impl once more, which must live on.
inline bool (*release_pyobj)(TensorImpl* impl) = nullptr;

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> p) : p_(std::move(p)) {}
  bool defined() const { return bool(p_); }
  TensorImpl* impl() const { return p_.get(); }
  TensorImpl* operator->() const { return p_.get(); }
  TensorImpl* release() { return p_.release(); }
  bool is_same(const Tensor& o) const { return p_ == o.p_; }

  int64_t dim() const { return static_cast<int64_t>(p_->sizes.size()); }
  int64_t numel() const { return p_->numel; }
  const Ints& sizes() const { return p_->sizes; }
  const Ints& strides() const { return p_->strides; }
  int64_t size(int64_t d) const { return p_->sizes[wrap_dim(d, dim())]; }
  int64_t stride(int64_t d) const { return p_->strides[wrap_dim(d, dim())]; }
  DType dtype() const { return p_->dtype; }
  Device device() const { return p_->device; }
  DeviceType device_type() const { return p_->device.type; }
  bool is_meta() const { return p_->device.type == DeviceType::meta; }
  bool is_contiguous() const { return p_->contiguous; }
  bool is_contiguous(MemoryFormat f) const;
  Options options() const { return {p_->dtype, p_->device}; }
  Options options(DType t) const { return {t, p_->device}; }

  // The first element. Everything that reads or writes a tensor's memory comes through here.
  void* data() const {
    if (!p_->storage->data && fused_open) [[unlikely]]
      settle_fused();
    return static_cast<char*>(p_->storage->data) + p_->offset * itemsize(p_->dtype);
  }
  template <class T>
  T* data() const {
    return static_cast<T*>(data());
  }
  uint32_t version() const { return p_->storage->version; }
  void bump_version() const {
    ++p_->storage->home().writes;
    if (!p_->detached_version) ++p_->storage->version;
  }

  bool requires_grad() const;  // a leaf that asks for it, or a result with a grad_fn
  // Views without a history, and copies; recorded twins stand in ops.h.
  Tensor alias() const;  // same memory, no autograd state, shared version
  Tensor as_strided_raw(IntSpan sizes, IntSpan strides, int64_t offset) const;
  Tensor contiguous_raw() const;  // itself when contiguous, else a plain copy
  Tensor to_raw(DType t) const;  // itself when of that dtype, else a converted copy
  Tensor clone_raw() const;  // plain row-major copy

 private:
  Ref<TensorImpl> p_;
};

using TensorList = std::vector<Tensor>;

Ints contiguous_strides(IntSpan sizes);
Ints channels_last_strides(IntSpan sizes);  // 4-D (NHWC) or 5-D
// Strides that keep t's order of dimensions, dense (PyTorch's preserve_format).
Ints preserved_strides(const Tensor& t);
bool is_dense(const Tensor& t);  // no overlap and no holes

Tensor empty(IntSpan sizes, const Options& o);
Tensor empty_later(IntSpan sizes, DType dtype);  // on the CPU, without its memory: Storage::back
Tensor empty_strided(IntSpan sizes, IntSpan strides, const Options& o);
Tensor empty_like(const Tensor& t);  // preserve_format
Tensor empty_like(const Tensor& t, DType dtype);
Tensor zeros(IntSpan sizes, const Options& o);
Tensor full(IntSpan sizes, const Scalar& value, const Options& o);
Tensor scalar_tensor(const Scalar& value, const Options& o);
void fill(const Tensor& t, const Scalar& value);
void zero(const Tensor& t);
// dst[...] = src, broadcast and converted; any strides, overlap allowed.
void copy(const Tensor& dst, const Tensor& src);
Scalar item(const Tensor& t);  // the only element
// Gives an out= tensor its shape. Error when it views something of another shape.
void resize(const Tensor& t, IntSpan sizes);

Ints broadcast_shapes(IntSpan a, IntSpan b, const char* op);
// A write through t to overlapping memory (an expanded tensor) is an error.
void check_no_internal_overlap(const Tensor& t, const char* op);

}  // namespace flambeau

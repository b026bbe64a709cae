// Tensors: creation, layout, copies.
#include "tensor.h"

#include <algorithm>
#include <ostream>
#include <string_view>

#include "autograd.h"
#include "iter.h"
#include "op.h"
#include "overlap.h"
#include "stored.h"
#include "transform.h"

namespace flambeau {

std::ostream& operator<<(std::ostream& os, IntSpan v) {
  os << "[";
  for (size_t i = 0; i < v.size(); ++i) os << (i ? ", " : "") << v[i];
  return os << "]";
}

int64_t wrap_dim(int64_t dim, int64_t ndim) {
  int64_t n = ndim ? ndim : 1;
  check_index(dim >= -n && dim < n, "Dimension out of range (expected to be in range of [", -n,
              ", ", n - 1, "], but got ", dim, ")");
  return dim < 0 ? dim + n : dim;
}

// -- impl -----------------------------------------------------------------------------------------
void TensorImpl::destroy() {
  if (owns_pyobj && release_pyobj(this)) return;
  delete autograd;
  const bool operand = fused_operand && storage.get() == fused_operand;
  delete this;
  if (operand) [[unlikely]]
    release_fused();
}

void TensorImpl::refresh() {
  numel = 1;
  contiguous = true;
  int64_t expected = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    int64_t n = sizes[d];
    numel *= n;
    if (n != 1) {
      contiguous &= strides[d] == expected;
      expected *= n;
    }
  }
  if (numel == 0) contiguous = true;
}

bool Tensor::requires_grad() const {
  const AutogradMeta* m = p_->autograd;
  if (!m) return false;
  if (m->transformed && m->transformed->batch) return m->transformed->value.requires_grad();
  if (m->requires_grad || m->grad_fn) return true;
  // A view without a history of its own; not one that reads the bits as another dtype.
  return m->view && to_real(dtype()) == to_real(m->view.base.dtype()) &&
         m->view.base.requires_grad();
}

bool Tensor::is_contiguous(MemoryFormat f) const {
  if (f == MemoryFormat::contiguous || f == MemoryFormat::preserve) return p_->contiguous;
  int64_t want = f == MemoryFormat::channels_last ? 4 : 5;
  if (dim() != want) return false;
  Ints strides = channels_last_strides(sizes());
  for (int64_t d = 0; d < want; ++d)
    if (sizes()[d] != 1 && strides[d] != p_->strides[d]) return false;
  return true;
}

// -- strides --------------------------------------------------------------------------------------
Ints contiguous_strides(IntSpan sizes) {
  Ints s(sizes.size());
  int64_t step = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    s[d] = step;
    // Sizes that overflow are refused where memory is asked for.
    if (__builtin_mul_overflow(step, std::max<int64_t>(sizes[d], 1), &step)) step = 0;
  }
  return s;
}

Ints channels_last_strides(IntSpan sizes) {
  Ints s(sizes.size());
  int64_t step = sizes[1];
  for (size_t d = sizes.size() - 1; d >= 2; --d) {
    s[d] = step;
    step *= sizes[d];
  }
  s[0] = step;
  s[1] = 1;
  return s;
}

bool is_dense(const Tensor& t) {
  if (t.is_contiguous()) return true;
  Ints order;
  for (int64_t d = 0; d < t.dim(); ++d)
    if (t.sizes()[d] != 1) order.push_back(d);
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return t.strides()[a] < t.strides()[b]; });
  int64_t expected = 1;
  for (int64_t d : order) {
    if (t.strides()[d] != expected) return false;
    expected *= t.sizes()[d];
  }
  return true;
}

Ints preserved_strides(const Tensor& t) {
  if (t.is_contiguous()) return contiguous_strides(t.sizes());
  if (is_dense(t)) return t.strides();
  // Dense strides in the order of t's own; broadcast dimensions stay where they are.
  int64_t n = t.dim();
  Ints order;
  for (int64_t d = n - 1; d >= 0; --d) order.push_back(d);  // innermost first
  for (int64_t i = 1; i < n; ++i) {
    for (int64_t k = i; k > 0; --k) {
      int64_t a = order[k], b = order[k - 1], sa = t.strides()[a], sb = t.strides()[b];
      if (sa == 0 || sb == 0 || sa >= sb) break;
      std::swap(order[k], order[k - 1]);
    }
  }
  Ints s(n);
  int64_t step = 1;
  for (int64_t d : order) {
    s[d] = step;
    step *= std::max<int64_t>(t.sizes()[d], 1);
  }
  return s;
}

// -- creation -------------------------------------------------------------------------------------
namespace {

// Elements between the first and one past the last that sizes and strides reach.
int64_t extent(IntSpan sizes, IntSpan strides) {
  int64_t n = 1;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return 0;
    int64_t span;
    check(!__builtin_mul_overflow(sizes[d] - 1, strides[d], &span) &&
              !__builtin_add_overflow(n, span, &n),
          "Storage size calculation overflowed with sizes=", sizes, " and strides=", strides);
  }
  return n;
}

int64_t checked_product(IntSpan sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) {
    check(s >= 0, "Trying to create tensor with negative dimension ", s, ": ", sizes);
    check(!__builtin_mul_overflow(n, s, &n), "numel: integer multiplication overflow: ", sizes);
  }
  return n;
}

Tensor make(IntSpan sizes, Ints strides, const Options& o, bool contiguous, bool later = false) {
  int64_t n = checked_product(sizes);
  int64_t elements = contiguous ? n : extent(sizes, strides), bytes;
  check(!__builtin_mul_overflow(elements, int64_t(itemsize(o.dtype)), &bytes),
        "Storage size calculation overflowed with sizes=", sizes);
  const auto size = static_cast<size_t>(bytes);
  auto storage = later ? Storage::reserve(size) : Storage::allocate(size, o.device);
  auto* p = new TensorImpl;
  p->dtype = o.dtype;
  p->device = o.device;
  p->inference = modes().inference;
  p->storage = std::move(storage);
  p->sizes.assign(sizes.data(), sizes.size());
  p->strides = std::move(strides);
  if (contiguous)
    p->numel = n;
  else
    p->refresh();
  return Tensor(Ref<TensorImpl>::adopt(p));
}

}  // namespace

Tensor empty(IntSpan sizes, const Options& o) {
  return make(sizes, contiguous_strides(sizes), o, true);
}

Tensor empty_later(IntSpan sizes, DType dtype) {
  return make(sizes, contiguous_strides(sizes), {dtype, Device{}}, true, true);
}

Tensor empty_strided(IntSpan sizes, IntSpan strides, const Options& o) {
  check(sizes.size() == strides.size(), "empty_strided(): ", sizes.size(), " sizes but ",
        strides.size(), " strides");
  for (int64_t s : strides)
    check(s >= 0, "empty_strided(): strides must not be negative, got ", strides);
  return make(sizes, Ints(strides), o, false);
}

Tensor empty_like(const Tensor& t, DType dtype) {
  if (t.is_contiguous()) return empty(t.sizes(), t.options(dtype));
  return make(t.sizes(), preserved_strides(t), t.options(dtype), false);
}
Tensor empty_like(const Tensor& t) { return empty_like(t, t.dtype()); }

Tensor zeros(IntSpan sizes, const Options& o) {
  Tensor t = empty(sizes, o);
  zero(t);
  return t;
}

Tensor full(IntSpan sizes, const Scalar& value, const Options& o) {
  Tensor t = empty(sizes, o);
  fill(t, value);
  return t;
}

Tensor scalar_tensor(const Scalar& value, const Options& o) {
  Tensor t = empty({}, o);
  if (is_stored(o.dtype))
    fill_stored(t, value);
  else if (!t.is_meta())
    visit(o.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      *t.data<T>() = value.to<T>();
    });
  return t;
}

// -- views and copies -----------------------------------------------------------------------------
Tensor Tensor::alias() const { return as_strided_raw(sizes(), strides(), p_->offset); }

Tensor Tensor::as_strided_raw(IntSpan sizes, IntSpan strides, int64_t offset) const {
  check(p_->layout == Layout::strided, "a sparse tensor has no strided views: use to_dense()");
  auto* p = new TensorImpl;
  p->dtype = p_->dtype;
  p->device = p_->device;
  p->detached_version = p_->detached_version;
  p->inference = p_->inference;
  p->storage = p_->storage;
  p->offset = offset;
  p->sizes.assign(sizes.data(), sizes.size());
  p->strides.assign(strides.data(), strides.size());
  p->refresh();
  return Tensor(Ref<TensorImpl>::adopt(p));
}

Tensor Tensor::contiguous_raw() const { return is_contiguous() ? *this : clone_raw(); }

Tensor Tensor::clone_raw() const {
  Tensor t = empty(sizes(), options());
  copy(t, *this);
  return t;
}

Tensor Tensor::to_raw(DType t) const {
  if (t == dtype()) return *this;
  Tensor out = empty_like(*this, t);
  copy(out, *this);
  return out;
}

void fill(const Tensor& t, const Scalar& value) {
  if (t.numel() == 0 || t.is_meta()) return;
  if (is_stored(t.dtype())) return fill_stored(t, value);
  alignas(16) char bits[16] = {};
  visit(t.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T v = value.to<T>();
    std::memcpy(bits, &v, sizeof v);
  });
  Loop loop;
  build_loop(loop, t.sizes(), {&t});
  fill_kernel(t.device_type(), loop, bits);
}

void zero(const Tensor& t) { fill(t, 0); }

namespace {

bool may_overlap(const Tensor& a, const Tensor& b) {
  if (a->storage.get() != b->storage.get()) return false;
  auto reach = [](const Tensor& t) {
    int64_t last = 0;
    for (int64_t d = 0; d < t.dim(); ++d) last += (t.sizes()[d] - 1) * t.strides()[d];
    auto size = static_cast<int64_t>(itemsize(t.dtype()));
    return std::pair(t->offset * size, (t->offset + last + 1) * size);
  };
  auto [a0, a1] = reach(a);
  auto [b0, b1] = reach(b);
  return a0 < b1 && b0 < a1;
}

Tensor expanded(const Tensor& t, IntSpan sizes) {
  Ints strides(sizes.size());
  for (int64_t d = t.dim(), at = static_cast<int64_t>(sizes.size()); d-- > 0;) {
    --at;
    strides[at] = t.sizes()[d] == 1 && sizes[at] != 1 ? 0 : t.strides()[d];
  }
  return t.as_strided_raw(sizes, strides, t->offset);
}

}  // namespace

void copy(const Tensor& dst, const Tensor& src) {
  check(src->layout == Layout::strided && dst->layout == Layout::strided,
        "the elements of a sparse tensor are not copied like this: use to_dense()");
  if (dst.numel() == 0 && src.numel() <= 1) return;
  Ints shape = broadcast_shapes(dst.sizes(), src.sizes(), "copy_");
  check(shape == dst.sizes(), "The expanded size of the tensor ", dst.sizes(),
        " must match the existing size ", src.sizes());
  if (dst.numel() == 0 || dst.is_meta()) return;
  check_no_internal_overlap(dst, "copy_");
  Tensor from = src;
  if (may_overlap(dst, src)) {
    if (dst->offset == src->offset && dst.sizes() == src.sizes() &&
        dst.strides() == src.strides() && dst.dtype() == src.dtype())
      return;
    from = src.clone_raw();
  }
  check(!from.is_meta(), "Cannot copy out of meta tensor; no data!");
  if (is_stored(dst.dtype()) || is_stored(from.dtype()))
    return copy_stored(dst, expanded(from, dst.sizes()));
  Loop loop;
  build_loop(loop, dst.sizes(), {&dst, &from});
  copy_kernel(dst.device_type(), loop);
}

// The number that a class with a __torch_dispatch__ says; its memory says nothing.
static Scalar dispatched_item(const Tensor& t) {
  static const Op& read = *find_op("_item");
  Value args[kMaxArgs] = {Value(t)}, results[kMaxResults];
  call_op(read, args, results);
  if (results[0].is_scalar()) return results[0].as_scalar();
  const Tensor& plain = results[0].as_tensor();
  check(plain.defined() && !plain.is_same(t) && !is_dispatching(plain),
        "item(): __torch_dispatch__ gave no number for aten._local_scalar_dense");
  return item(plain);
}

Scalar item(const Tensor& t) {
  if (modes().vmaps) [[unlikely]]
    check_readable(t, kCallsItem);
  check(t.numel() == 1, "a Tensor with ", t.numel(), " elements cannot be converted to Scalar");
  if (modes().dispatch && is_dispatching(t)) [[unlikely]]
    return dispatched_item(t);
  check(!t.is_meta(), "Tensor.item() cannot be called on meta tensors");
  check(t->layout == Layout::strided, "the elements of a sparse tensor are not read like this");
  if (is_stored(t.dtype())) return item(widened(t));
  return visit(t.dtype(), [&](auto tag) -> Scalar {
    using T = typename decltype(tag)::type;
    T v = *t.data<T>();
    if constexpr (std::is_same_v<T, bool>)
      return Scalar(v);
    else if constexpr (is_complex_type<T>)
      return Scalar(convert<complex128>(v));
    else if constexpr (is_reduced_float<T> || std::is_floating_point_v<T>)
      return Scalar(convert<double>(v));
    else
      return Scalar(static_cast<int64_t>(v));
  });
}

void resize(const Tensor& t, IntSpan sizes) {
  if (IntSpan(t.sizes()).size() == sizes.size() && Ints(sizes) == t.sizes()) return;
  int64_t n = t->offset, bytes;
  const int64_t elements = checked_product(sizes);
  check(!__builtin_add_overflow(n, elements, &n) &&
            !__builtin_mul_overflow(n, int64_t(itemsize(t.dtype())), &bytes),
        "Storage size calculation overflowed with sizes=", sizes);
  auto need = static_cast<size_t>(bytes);
  if (elements && need > t->storage->nbytes) t->storage->resize(need);
  t->sizes = Ints(sizes);
  t->strides = contiguous_strides(sizes);
  t->refresh();
}

// -- shapes ---------------------------------------------------------------------------------------
Ints broadcast_shapes(IntSpan a, IntSpan b, const char* op) {
  if (a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin())) return Ints(a);
  size_t n = std::max(a.size(), b.size());
  Ints out(n);
  for (size_t i = 0; i < n; ++i) {  // from the last dimension
    int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    check(x == y || x == 1 || y == 1, op, "(): The size of tensor a (", x,
          ") must match the size of tensor b (", y, ") at non-singleton dimension ", n - 1 - i,
          " (shapes ", a, " and ", b, ")");
    out[n - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

void (*warn)(const std::string& text) = nullptr;

void warn_of_expanded(const char* op) {
  warn(std::string("Use of ") + op +
       " on expanded tensors is deprecated. Please clone() the tensor before performing this "
       "operation. This also applies to advanced indexing e.g. tensor[indices] = tensor");
}

void warn_of_resize(const Ints& had, const Tensor& out) {
  if (product(had) == 0 || out.sizes() == had) return;
  warn(cat("An output with one or more elements was resized since it had shape ", had,
           ", which does not match the required output shape ", out.sizes(),
           ". This behavior is deprecated; t.resize_(0) makes a tensor that may be resized "
           "without this warning."));
}

bool repeats(const Tensor& t) {
  for (int64_t d = 0; d < t.dim(); ++d)
    if (t.strides()[d] == 0 && t.sizes()[d] > 1) return true;
  return false;
}

void check_no_internal_overlap(const Tensor& t, const char* op) {
  if (t.is_contiguous()) return;
  // What writes one number everywhere may write it twice; what changes a shape writes nothing;
  // writing by index looks itself.
  static constexpr std::string_view kHarmless[] = {
      "fill",      "fill_",      "zero_",   "ones",    "zeros",    "full",      "masked_fill",
      "index_put", "index_fill", "resize_", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_",
      "transpose", "transpose_", "t",       "t_",      "set_",     "detach_",   "as_strided_"};
  const auto harmless = [&] {
    return std::find(std::begin(kHarmless), std::end(kHarmless), op) != std::end(kHarmless);
  };
  check(!repeats(t) || harmless(), op,
        "(): unsupported operation: more than one element of the written-to tensor refers to a "
        "single memory location. Please clone() the tensor before performing the operation.");
}

// Whether the elements fill a range of memory, each its own place.
static bool fills_memory(const Tensor& t) {
  if (t.is_contiguous()) return true;
  Small<std::pair<int64_t, int64_t>, 8> dims;
  for (int64_t d = 0; d < t.dim(); ++d)
    if (t.sizes()[d] != 1) dims.push_back({t.strides()[d], t.sizes()[d]});
  std::sort(dims.begin(), dims.end());
  int64_t next = 1;
  for (auto [stride, size] : dims) {
    if (stride != next) return false;
    next *= size;
  }
  return true;
}

static void check_apart(const Tensor& out, const Tensor& in, const char* op, bool may_be_same) {
  if (out->storage.get() != in->storage.get() || out.numel() == 0 || in.numel() == 0) return;
  const bool same =
      out->offset == in->offset && out.sizes() == in.sizes() && out.strides() == in.strides();
  const bool fine =
      same ? may_be_same : !fills_memory(out) || !fills_memory(in) || !may_overlap(out, in);
  check(fine, op,
        "(): unsupported operation: some elements of the input tensor and the written-to tensor "
        "refer to a single memory location. Please clone() the tensor before performing the "
        "operation.");
}

void check_no_partial_overlap(const Tensor& out, const Tensor& in, const char* op) {
  if (!out.is_same(in)) check_apart(out, in, op, true);
}

void check_no_overlap(const Tensor& out, const Tensor& in, const char* op) {
  check_apart(out, in, op, false);
}

}  // namespace flambeau

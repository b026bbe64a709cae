// From tensors to the arguments of the matrix kernel.
#include "gemm.h"

namespace flambeau {

GemmType gemm_type(DType t, const char* op) {
  switch (t) {
    case DType::float32: return GemmType::f32;
    case DType::float64: return GemmType::f64;
    case DType::float16: return GemmType::f16;
    case DType::bfloat16: return GemmType::bf16;
    case DType::complex64: return GemmType::c64;
    case DType::complex128: return GemmType::c128;
    case DType::uint8: return GemmType::u8;
    case DType::int8: return GemmType::i8;
    case DType::int16: return GemmType::i16;
    case DType::int32: return GemmType::i32;
    case DType::int64: return GemmType::i64;
    default: fail(ErrorKind::not_implemented, op, "(): not implemented for ", t);
  }
}

namespace {

struct Batch {
  int64_t size, a, b, c;  // and the strides
};

// Batch dimensions from the outermost in, those that can be walked as one merged.
std::vector<Batch> batches(const Tensor& a, const Tensor& b, const Tensor& c) {
  std::vector<Batch> dims;
  for (int64_t d = 0; d < c.dim() - 2; ++d) {
    const Batch next{c.sizes()[d], a.strides()[d], b.strides()[d], c.strides()[d]};
    if (next.size == 1) continue;
    if (!dims.empty()) {
      Batch& last = dims.back();
      if (last.a == next.a * next.size && last.b == next.b * next.size &&
          last.c == next.c * next.size) {
        last = {last.size * next.size, next.a, next.b, next.c};
        continue;
      }
    }
    dims.push_back(next);
  }
  return dims;
}

void run_batches(GemmArgs x, const std::vector<Batch>& dims, size_t first, int64_t itemsize,
                 DeviceType device) {
  if (dims.size() - first <= 2) {
    for (size_t i = first; i < dims.size(); ++i) {
      const int64_t at = static_cast<int64_t>(2 - (dims.size() - i));
      x.batch[at] = dims[i].size;
      x.a_batch[at] = dims[i].a, x.b_batch[at] = dims[i].b, x.c_batch[at] = dims[i].c;
    }
    return gemm_kernel(device, x);
  }
  const Batch& d = dims[first];
  for (int64_t i = 0; i < d.size; ++i) {
    run_batches(x, dims, first + 1, itemsize, device);
    x.a = static_cast<const char*>(x.a) + d.a * itemsize;
    x.b = static_cast<const char*>(x.b) + d.b * itemsize;
    x.c = static_cast<char*>(x.c) + d.c * itemsize;
  }
}

}  // namespace

void run_gemm(GemmArgs x, const Tensor& a, const Tensor& b, const Tensor& c) {
  if (c.is_meta() || c.numel() == 0) return;
  const int64_t d = c.dim();
  x.m = c.sizes()[d - 2], x.n = c.sizes()[d - 1], x.k = a.sizes()[d - 1];
  x.a = a.data(), x.b = b.data(), x.c = c.data();
  x.a_row = a.strides()[d - 2], x.a_col = a.strides()[d - 1];
  x.b_row = b.strides()[d - 2], x.b_col = b.strides()[d - 1];
  x.c_row = c.strides()[d - 2], x.c_col = c.strides()[d - 1];
  if (d == 2) return gemm_kernel(c.device_type(), x);
  run_batches(x, batches(a, b, c), 0, static_cast<int64_t>(itemsize(c.dtype())), c.device_type());
}

Ref<Storage> kept_columns(const Tensor& b, DType t) {
  if (b.device_type() != DeviceType::cpu || t != DType::bfloat16 || b.numel() == 0) return nullptr;
  int64_t bytes = 0;
  GemmPackArgs x{GemmType::bf16, gemm_type(b.dtype(), "linear"),
                 b.sizes()[0],   b.sizes()[1],
                 b.data(),       b.strides()[0],
                 b.strides()[1], &bytes,
                 nullptr};
  gemm_pack_kernel(DeviceType::cpu, x);
  return kept_pack(Pack::products, 0, b, static_cast<size_t>(bytes), [&](void* out) {
    x.out = out;
    gemm_pack_kernel(DeviceType::cpu, x);
  });
}

Tensor adjoint(const Tensor& t) {
  static const OpCall transpose("transpose"), conj("conj");
  Tensor r = transpose(t, -2, -1);
  return is_complex(t.dtype()) ? conj(r) : r;
}

}  // namespace flambeau

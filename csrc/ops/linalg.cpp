// Linear algebra: checks, matrices in LAPACK's order, recorded helpers.
#include "linalg.h"

namespace flambeau::linalg {

// -- checks ---------------------------------------------------------------------------------------
namespace {

const char* type_name(DType t) {
  switch (t) {
    case DType::uint8: return "Byte";
    case DType::int8: return "Char";
    case DType::int16: return "Short";
    case DType::int32: return "Int";
    case DType::int64: return "Long";
    case DType::boolean: return "Bool";
    case DType::float16: return "Half";
    case DType::bfloat16: return "BFloat16";
    case DType::float32: return "Float";
    case DType::float64: return "Double";
    case DType::complex64: return "ComplexFloat";
    case DType::complex128: return "ComplexDouble";
    default: return info(t).name;
  }
}

}  // namespace

void check_matrix(const Tensor& a, const char* op, const char* name) {
  check(a.dim() >= 2, op, ": The input tensor ", name, " must have at least 2 dimensions.");
}

void check_square(const Tensor& a, const char* op, const char* name) {
  check_matrix(a, op, name);
  check(rows(a) == columns(a), op, ": ", name, " must be batches of square matrices, but they are ",
        rows(a), " by ", columns(a), " matrices");
}

void check_inexact(const Tensor& a, const char* op) {
  check(is_inexact(a.dtype()), op, ": Expected a floating point or complex tensor as input. Got ",
        type_name(a.dtype()));
}

void check_full_precision(const Tensor& a, const char* op) {
  check_inexact(a, op);
  check(itemsize(a.dtype()) >= 4, op, ": Low precision dtypes not supported. Got ",
        type_name(a.dtype()));
}

void check_same_device(const Tensor& a, const Tensor& b, const char* op) {
  check(a.device() == b.device(), op, ": Expected all tensors to be on the same device, but found ",
        a.device(), " and ", b.device());
}

void check_same_type(const Tensor& a, const Tensor& b, const char* op) {
  check(a.dtype() == b.dtype(), op,
        ": Expected A and B to have the same dtype, but found A of type ", type_name(a.dtype()),
        " and B of type ", type_name(b.dtype()), " instead");
  check_same_device(a, b, op);
}

void check_infos(const Tensor& info, const char* op, std::string (*what)(int64_t), ErrorKind kind) {
  if (info.is_meta()) return;
  const Tensor plain = info.contiguous_raw();
  const Int* p = plain.data<Int>();
  for (int64_t i = 0; i < plain.numel(); ++i) {
    if (p[i] == 0) continue;
    const std::string where = info.dim() ? cat("(Batch element ", i, "): ") : "";
    fail(kind, op, ": ", where, what(p[i]));
  }
}

// -- matrices in LAPACK's order -------------------------------------------------------------------
Ints with(Ints batch, std::initializer_list<int64_t> last) {
  for (int64_t n : last) batch.push_back(n);
  return batch;
}

int64_t count(const Ints& batch) { return product(batch); }

Tensor empty_columns(const Ints& batch, int64_t rows, int64_t columns, const Options& o) {
  return transpose_raw(empty(with(batch, {columns, rows}), o), -2, -1);
}

Tensor copy_columns(const Tensor& a) { return copy_columns(a, batch_sizes(a)); }

Tensor copy_columns(const Tensor& a, const Ints& batch) {
  Tensor out = empty_columns(batch, rows(a), columns(a), a.options());
  if (!out.is_meta() && out.numel()) copy(out, expand_raw(a, out.sizes()));
  return out;
}

Tensor identity_columns(const Ints& batch, int64_t n, const Options& o) {
  Tensor out = zeros(with(batch, {n, n}), o);
  if (!out.is_meta() && out.numel())
    fill(out.as_strided_raw(Ints{count(batch), n}, Ints{n * n, n + 1}, 0), 1);
  return out;
}

Tensor copy_pivots(const Tensor& pivots, const Ints& batch, const Tensor& factors, const char* op) {
  const int64_t limit = rows(factors), n = std::min(limit, columns(factors));
  check_same_device(factors, pivots, op);
  check(pivots.dtype() == DType::int32, op, ": Expected pivots to be of torch.int32 dtype, got ",
        type_name(pivots.dtype()));
  check(pivots.dim() >= 1 && pivots.size(-1) == n, op, ": Expected pivots to have ", n,
        " elements in the last dimension, got shape ", pivots.sizes());
  Tensor out = expand_raw(pivots, with(batch, {n})).contiguous_raw();
  if (out.is_meta()) return out;
  const Int* p = out.data<Int>();
  for (int64_t i = 0; i < out.numel(); ++i)
    check(p[i] != 0 && std::abs(int64_t(p[i])) <= limit, op,
          ": pivots must lie between 1 and the number of rows, got ", p[i]);
  return out;
}

// -- recorded operators ---------------------------------------------------------------------------
Tensor mm(const Tensor& a, const Tensor& b) {
  static const OpCall f("matmul");
  return f(a, b);
}
Tensor tril(const Tensor& a, int64_t diagonal) {
  static const OpCall f("tril");
  return f(a, diagonal);
}
Tensor triu(const Tensor& a, int64_t diagonal) {
  static const OpCall f("triu");
  return f(a, diagonal);
}
Tensor diagonal(const Tensor& a) {
  static const OpCall f("diagonal");
  return f(a, 0, -2, -1);
}
Tensor diagonal_matrix(const Tensor& a) {
  static const OpCall f("diag_embed");
  return f(a);
}
Tensor unsqueeze(const Tensor& a, int64_t dim) {
  static const OpCall f("unsqueeze");
  return f(a, dim);
}
Tensor narrow(const Tensor& a, int64_t dim, int64_t start, int64_t length) {
  static const OpCall f("narrow");
  return f(a, dim, start, length);
}
Tensor sum_to(const Tensor& a, const Ints& sizes) {
  static const OpCall f("sum_to_size");
  return a.sizes() == sizes ? a : f(a, sizes);
}
Tensor real(const Tensor& a) {
  static const OpCall f("real");
  return is_complex(a.dtype()) ? f(a) : a;
}
Tensor imaginary(const Tensor& a) { return (a - conj(a)) * 0.5; }
Tensor triangular_solve(const Tensor& a, const Tensor& b, bool upper, bool left,
                        bool unitriangular) {
  static const OpCall f("linalg.solve_triangular");
  return f(a, b, upper, left, unitriangular);
}
Tensor over_differences(const Tensor& x, const Tensor& b) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor never = full(b.sizes(), inf, b.options(to_real(b.dtype())));
  return x / (unsqueeze(b, -2) - unsqueeze(b, -1) + diagonal_matrix(never));
}

Tensor pinv_gradient(const Tensor& a, const Tensor& p, const Tensor& g) {
  const Tensor ph = adjoint(p), gh = adjoint(g);
  const Tensor left = mm(mm(gh, p), ph), right = mm(ph, mm(p, gh));
  return left - mm(a, mm(p, left)) + right - mm(mm(right, p), a) - mm(ph, mm(g, ph));
}

}  // namespace flambeau::linalg

// Matrix products: mm, bmm, matmul, mv, dot, linear and the forms that add to them.
#include "../autocast.h"
#include "../fused.h"
#include "gemm.h"

namespace flambeau {
namespace {

const OpCall call_mm("mm"), call_bmm("bmm"), call_transpose("transpose"), call_reshape("reshape"),
    call_unsqueeze("unsqueeze"), call_mul("mul"), call_add("add"), call_sum_to("sum_to_size"),
    call_conj("conj"), call_dot("dot"), call_mv("mv"), call_addmm("addmm"), call_matmul("matmul"),
    call_expand("expand"), call_outer("outer"), call_permute("permute"),
    call_products("_batched_products");

Tensor conjugate(const Tensor& t) { return is_complex(t.dtype()) ? call_conj(t) : t; }

void same_type(const Tensor& a, const Tensor& b, const char* op) {
  check(a.dtype() == b.dtype(), op,
        "(): expected m1 and m2 to have the same dtype, but got: ", a.dtype(), " != ", b.dtype());
  check(a.device() == b.device(), op, "(): expected all tensors to be on the same device, but got ",
        a.device(), " and ", b.device());
}

void check_matrices(const Tensor& a, const Tensor& b, const char* op) {
  check(a.dim() == 2, op, "(): self must be a matrix, got a ", a.dim(), "-D tensor");
  check(b.dim() == 2, op, "(): mat2 must be a matrix, got a ", b.dim(), "-D tensor");
  check(a.sizes()[1] == b.sizes()[0], op, "(): mat1 and mat2 shapes cannot be multiplied (",
        a.sizes()[0], "x", a.sizes()[1], " and ", b.sizes()[0], "x", b.sizes()[1], ")");
  same_type(a, b, op);
}

// x y in the memory order of `like`: the gradient of a transposed weight comes out transposed.
Tensor product_like(const Tensor& like, const Tensor& x, const Tensor& y) {
  if (like.defined() && like.strides()[0] == 1 && like.strides()[1] > 1)
    return call_transpose(call_mm(call_transpose(y, 0, 1), call_transpose(x, 0, 1)), 0, 1);
  return call_mm(x, y);
}

// -- mm -------------------------------------------------------------------------------------------
Tensor mm(const Tensor& a, const Tensor& b) {
  check_matrices(a, b, "mm");
  Tensor out = empty(Ints{a.sizes()[0], b.sizes()[1]}, a.options());
  run_gemm({.type = gemm_type(a.dtype(), "mm")}, a, b, out);
  return out;
}

void mm_back(Backward& b) {
  const Tensor &g = b.grad(), x = b.in(0), y = b.in(1);
  if (b.needs(0)) b.set(0, product_like(x, g, adjoint(y)));
  if (b.needs(1)) b.set(1, product_like(y, adjoint(x), g));
}

// -- addmm ----------------------------------------------------------------------------------------
struct Factors {
  Scalar beta, alpha;
};

void set_factors(GemmArgs& x, const Factors& f) {
  const complex128 alpha = f.alpha.to<complex128>(), beta = f.beta.to<complex128>();
  x.alpha = alpha.real(), x.alpha_im = alpha.imag();
  x.beta = beta.real(), x.beta_im = beta.imag();
}

bool is_zero(const Scalar& s) { return s.to<complex128>() == complex128(0); }
bool is_one(const Scalar& s) { return s.to<complex128>() == complex128(1); }

// out = beta input + alpha a b, input expanded to out.
void add_product(const Tensor& out, const Tensor& input, const Tensor& a, const Tensor& b,
                 const Factors& f, const char* op, const void* packed_b = nullptr,
                 const Finish* finish = nullptr) {
  check(input.dtype() == a.dtype(), op, "(): self and mat2 must have the same dtype, but got ",
        input.dtype(), " and ", a.dtype());
  if (!packed_b) same_type(a, b, op);
  GemmArgs x{.type = gemm_type(a.dtype(), op)};
  set_factors(x, f);
  x.packed_b = packed_b;
  x.finish = finish;
  const Tensor wide = expand_raw(input, out.sizes());
  const Ints& s = wide.strides();
  bool row = is_one(f.beta) && is_one(f.alpha) && !out.is_meta();
  for (size_t d = 0; d + 1 < s.size(); ++d) row = row && s[d] == 0;
  if (row) {
    x.beta = 0;
    x.bias = wide.data();
    x.bias_stride = s[s.size() - 1];
  } else if (!is_zero(f.beta)) {
    copy(out, wide);
  }
  run_gemm(x, a, b, out);
}

Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta,
             const Scalar& alpha) {
  check_matrices(a, b, "addmm");
  Tensor out = empty(Ints{a.sizes()[0], b.sizes()[1]}, a.options());
  add_product(out, input, a, b, {beta, alpha}, "addmm");
  return out;
}

Tensor scaled(const Tensor& t, const Scalar& s) {
  if (is_one(s)) return t;
  return call_mul(t, s.kind == Scalar::complex ? Scalar(std::conj(s.to<complex128>())) : s);
}

void addmm_back(Backward& b) {
  const Tensor &g = b.grad(), x = b.in(1), y = b.in(2);
  const Scalar &beta = b.arg(3).as_scalar(), &alpha = b.arg(4).as_scalar();
  if (b.needs(0)) b.set(0, scaled(call_sum_to(g, b.sizes(0)), beta));
  if (b.needs(1)) b.set(1, scaled(product_like(x, g, adjoint(y)), alpha));
  if (b.needs(2)) b.set(2, scaled(product_like(y, adjoint(x), g), alpha));
}

// -- bmm ------------------------------------------------------------------------------------------
void check_batches(const Tensor& a, const Tensor& b, const char* op) {
  check(a.dim() == 3, op, "(): batch1 must be a 3D tensor, got a ", a.dim(), "-D tensor");
  check(b.dim() == 3, op, "(): batch2 must be a 3D tensor, got a ", b.dim(), "-D tensor");
  check(a.sizes()[0] == b.sizes()[0] && a.sizes()[2] == b.sizes()[1], op,
        "(): Expected size for first two dimensions of batch2 tensor to be: [", a.sizes()[0], ", ",
        a.sizes()[2], "] but got: [", b.sizes()[0], ", ", b.sizes()[1], "].");
  same_type(a, b, op);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_batches(a, b, "bmm");
  Tensor out = empty(Ints{a.sizes()[0], a.sizes()[1], b.sizes()[2]}, a.options());
  run_gemm({.type = gemm_type(a.dtype(), "bmm")}, a, b, out);
  return out;
}

void bmm_back(Backward& b) {
  if (b.needs(0)) b.set(0, call_bmm(b.grad(), adjoint(b.in(1))));
  if (b.needs(1)) b.set(1, call_bmm(adjoint(b.in(0)), b.grad()));
}

Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta,
               const Scalar& alpha) {
  check_batches(a, b, "baddbmm");
  Tensor out = empty(Ints{a.sizes()[0], a.sizes()[1], b.sizes()[2]}, a.options());
  add_product(out, input, a, b, {beta, alpha}, "baddbmm");
  return out;
}

void baddbmm_back(Backward& b) {
  const Tensor& g = b.grad();
  const Scalar &beta = b.arg(3).as_scalar(), &alpha = b.arg(4).as_scalar();
  if (b.needs(0)) b.set(0, scaled(call_sum_to(g, b.sizes(0)), beta));
  if (b.needs(1)) b.set(1, scaled(call_bmm(g, adjoint(b.in(2))), alpha));
  if (b.needs(2)) b.set(2, scaled(call_bmm(adjoint(b.in(1)), g), alpha));
}

Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta,
              const Scalar& alpha) {
  check(a.dim() == 3 && b.dim() == 3, "addbmm(): batch1 and batch2 must be 3D tensors, got ",
        a.dim(), "-D and ", b.dim(), "-D");
  check(a.sizes()[0] == b.sizes()[0],
        "addbmm(): batch1 and batch2 must have same number of "
        "batches, got ",
        a.sizes()[0], " and ", b.sizes()[0]);
  check_batches(a, b, "addbmm");
  // The sum over batches is one product with the batches laid along k.
  const int64_t n = a.sizes()[0], m = a.sizes()[1], k = a.sizes()[2];
  const Tensor rows = call_reshape(call_permute(a, Ints{1, 0, 2}), Ints{m, n * k});
  return call_addmm(input, rows, call_reshape(b, Ints{n * k, b.sizes()[2]}), beta, alpha);
}

// Products of matrices whose leading dimensions broadcast.
Ints batch_sizes(const Tensor& a, const Tensor& b) {
  const IntSpan sa(a.sizes().data(), a.dim() - 2), sb(b.sizes().data(), b.dim() - 2);
  return broadcast_shapes(sa, sb, "matmul");
}

Tensor batched_products(const Tensor& a, const Tensor& b) {
  const int64_t da = a.dim(), db = b.dim();
  check(a.sizes()[da - 1] == b.sizes()[db - 2],
        "matmul(): shapes cannot be multiplied, the last "
        "dimension of ",
        a.sizes(), " must be the last but one of ", b.sizes());
  same_type(a, b, "matmul");
  Ints sizes = batch_sizes(a, b), sizes_a = sizes, sizes_b = sizes;
  sizes.push_back(a.sizes()[da - 2]);
  sizes.push_back(b.sizes()[db - 1]);
  for (int64_t d : {da - 2, da - 1}) sizes_a.push_back(a.sizes()[d]);
  for (int64_t d : {db - 2, db - 1}) sizes_b.push_back(b.sizes()[d]);
  Tensor out = empty(sizes, a.options());
  run_gemm({.type = gemm_type(a.dtype(), "matmul")}, expand_raw(a, sizes_a), expand_raw(b, sizes_b),
           out);
  return out;
}

void batched_products_back(Backward& b) {
  const Tensor& g = b.grad();
  if (b.needs(0)) b.set(0, call_sum_to(call_products(g, adjoint(b.in(1))), b.sizes(0)));
  if (b.needs(1)) b.set(1, call_sum_to(call_products(adjoint(b.in(0)), g), b.sizes(1)));
}

// -- vectors --------------------------------------------------------------------------------------
Tensor mv(const Tensor& a, const Tensor& v) {
  check(a.dim() == 2 && v.dim() == 1, "mv(): vector + matrix @ vector expected, got 1, ", a.dim(),
        ", ", v.dim());
  check(a.sizes()[1] == v.sizes()[0], "mv(): size mismatch, got input (", a.sizes()[0], "), mat (",
        a.sizes()[0], "x", a.sizes()[1], "), vec (", v.sizes()[0], ")");
  same_type(a, v, "mv");
  Tensor out = empty(Ints{a.sizes()[0]}, a.options());
  const Tensor column = v.as_strided_raw(Ints{v.sizes()[0], 1}, Ints{v.strides()[0], 1}, v->offset);
  const Tensor result = out.as_strided_raw(Ints{a.sizes()[0], 1}, Ints{1, 1}, 0);
  run_gemm({.type = gemm_type(a.dtype(), "mv")}, a, column, result);
  return out;
}

void mv_back(Backward& b) {
  const Tensor& g = b.grad();
  if (b.needs(0)) b.set(0, call_outer(g, conjugate(b.in(1))));
  if (b.needs(1)) b.set(1, call_mv(adjoint(b.in(0)), g));
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check(a.dim() == 1 && b.dim() == 1, "dot(): 1D tensors expected, but got ", a.dim(), "D and ",
        b.dim(), "D tensors");
  check(a.dtype() == b.dtype(), "dot(): expected both vectors to have same dtype, but found ",
        a.dtype(), " and ", b.dtype());
  check(a.sizes() == b.sizes(), "dot(): inconsistent tensor size, expected tensor ", a.sizes(),
        " and src ", b.sizes(), " to have the same number of elements, but got ", a.numel(),
        " and ", b.numel(), " elements respectively");
  same_type(a, b, "dot");
  Tensor out = empty(Ints{}, a.options());
  if (out.is_meta()) return out;
  GemmArgs x{.type = gemm_type(a.dtype(), "dot"), .m = 1, .n = 1, .k = a.numel()};
  x.a = a.data(), x.b = b.data(), x.c = out.data();
  x.a_row = x.a_col = a.strides()[0];
  x.b_row = x.b_col = b.strides()[0];
  x.c_row = 1;
  gemm_kernel(out.device_type(), x);
  return out;
}

void dot_back(Backward& b) {
  const Tensor& g = b.grad();
  if (b.needs(0)) b.set(0, call_mul(g, conjugate(b.in(1))));
  if (b.needs(1)) b.set(1, call_mul(g, conjugate(b.in(0))));
}

Tensor vdot(const Tensor& a, const Tensor& b) { return call_dot(conjugate(a), b); }

Tensor outer(const Tensor& a, const Tensor& b) {
  check(a.dim() == 1, "outer(): Expected 1-D argument self, but got ", a.dim(), "-D");
  check(b.dim() == 1, "outer(): Expected 1-D argument vec2, but got ", b.dim(), "-D");
  return call_mul(call_unsqueeze(a, 1), call_unsqueeze(b, 0));
}

Tensor addmv(const Tensor& input, const Tensor& a, const Tensor& v, const Scalar& beta,
             const Scalar& alpha) {
  check(a.dim() == 2 && v.dim() == 1, "addmv(): vector + matrix @ vector expected, got ",
        input.dim(), ", ", a.dim(), ", ", v.dim());
  check(a.sizes()[1] == v.sizes()[0], "addmv(): size mismatch, got mat (", a.sizes()[0], "x",
        a.sizes()[1], "), vec (", v.sizes()[0], ")");
  const Ints n{a.sizes()[0]};
  const Tensor column = call_unsqueeze(call_expand(input, n), 1);
  return call_reshape(call_addmm(column, a, call_unsqueeze(v, 1), beta, alpha), n);
}

Tensor addr(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta,
            const Scalar& alpha) {
  check(a.dim() == 1 && b.dim() == 1, "addr(): expected 1-D vec1 and vec2, got ", a.dim(),
        "-D and ", b.dim(), "-D");
  static const OpCall to("to");
  Tensor product = call_outer(a, b);
  const DType t = promote(input.dtype(), product.dtype());
  for (const Scalar* s : {&beta, &alpha})
    check(is_inexact(t) || s->kind < Scalar::floating,
          "addr(): for integral input tensors, argument ", s == &beta ? "beta" : "alpha",
          " must not be a floating point number.");
  if (!is_one(alpha)) product = call_mul(product, alpha);
  const Tensor wide = call_expand(input, product.sizes());
  if (!is_zero(beta)) product = call_add(is_one(beta) ? wide : call_mul(wide, beta), product);
  return t == DType::boolean ? to(product, t) : product;  // of booleans: or, and
}

Tensor inner(const Tensor& a, const Tensor& b) {
  if (a.dim() == 0 || b.dim() == 0) return call_mul(a, b);
  const int64_t k = a.size(-1);
  check(k == b.size(-1),
        "inner(): the last dimension must match on both input tensors but got "
        "shapes ",
        a.sizes(), " and ", b.sizes());
  Ints sizes(IntSpan(a.sizes().data(), a.dim() - 1));
  int64_t m = 1, n = 1;
  for (int64_t d = 0; d + 1 < a.dim(); ++d) m *= a.sizes()[d];
  for (int64_t d = 0; d + 1 < b.dim(); ++d) {
    n *= b.sizes()[d];
    sizes.push_back(b.sizes()[d]);
  }
  const Tensor columns = call_transpose(call_reshape(b, Ints{n, k}), 0, 1);
  return call_reshape(call_mm(call_reshape(a, Ints{m, k}), columns), sizes);
}

// -- matmul ---------------------------------------------------------------------------------------
Tensor matmul(const Tensor& a, const Tensor& b) {
  const int64_t da = a.dim(), db = b.dim();
  check(da > 0 && db > 0,
        "matmul(): both arguments to matmul need to be at least 1D, but they "
        "are ",
        da, "D and ", db, "D");
  if (da == 2 && db == 2) return call_mm(a, b);
  if (da == 1 && db == 1) return call_dot(a, b);
  if (da == 2 && db == 1) return call_mv(a, b);
  if (da == 1) {
    Ints sizes(IntSpan(b.sizes().data(), db - 2));
    sizes.push_back(b.sizes()[db - 1]);
    return call_reshape(call_matmul(call_unsqueeze(a, 0), b), sizes);
  }
  if (db > 2) return call_products(a, b);
  // Many matrices times one: their rows together are one matrix, where that takes no copy.
  Ints sizes(IntSpan(a.sizes().data(), da - 1));
  int64_t rows = 1;
  for (int64_t n : sizes) rows *= n;
  if (db == 2) sizes.push_back(b.sizes()[1]);
  const Ints folded{rows, a.sizes()[da - 1]};
  if (db == 2 && !view_strides(a, folded)) return call_products(a, b);
  return call_reshape(call_matmul(call_reshape(a, folded), b), sizes);
}

// -- linear ---------------------------------------------------------------------------------------
// The shape of the result.
Ints linear_sizes(const Tensor& input, const Tensor& weight) {
  check(input.dim() > 0 && (weight.dim() == 1 || weight.dim() == 2),
        "linear(): both arguments to "
        "linear need to be at least 1D and weight at most 2D, but they are ",
        input.dim(), "D and ", weight.dim(), "D");
  const int64_t k = weight.size(-1), n = weight.dim() == 2 ? weight.sizes()[0] : 1;
  const int64_t last = input.size(-1);
  int64_t rows = 1;
  Ints sizes(IntSpan(input.sizes().data(), input.dim() - 1));
  for (int64_t s : sizes) rows *= s;
  check(last == k, "linear(): mat1 and mat2 shapes cannot be multiplied (", rows, "x", last,
        " and ", k, "x", n, "): input ", input.sizes(), ", weight ", weight.sizes());
  if (!later_cast(input, weight)) same_type(input, weight, "linear");
  if (weight.dim() == 2) sizes.push_back(n);
  return sizes;
}

void linear_into(const Tensor& out, const Tensor& input, const Tensor& weight, const Tensor& bias,
                 const Finish* finish) {
  const int64_t k = weight.size(-1), n = weight.dim() == 2 ? weight.sizes()[0] : 1;
  int64_t rows = 1;
  for (int64_t d = 0; d + 1 < input.dim(); ++d) rows *= input.sizes()[d];
  const Tensor x = input.dim() == 2 ? input : reshape_raw(input, Ints{rows, k});
  const Tensor y = out.as_strided_raw(Ints{rows, n}, Ints{n, 1}, 0);
  const int64_t row = weight.dim() == 2 ? weight.strides()[0] : 0, col = weight.stride(-1);
  Tensor w = weight.as_strided_raw(Ints{k, n}, Ints{col, row}, weight->offset);
  const Ref<Storage> pack = weight.dim() == 2 ? kept_columns(w, input.dtype()) : nullptr;
  const void* packed = pack ? pack->data : nullptr;
  if (!pack) w = w.to_raw(input.dtype());
  if (!bias.defined()) {
    const GemmType type = gemm_type(input.dtype(), "linear");
    run_gemm({.type = type, .finish = finish, .packed_b = packed}, x, w, y);
  } else {
    const Tensor wide = expand_raw(bias, out.sizes());
    const bool matrix = bias.dim() <= 1 && weight.dim() == 2;
    add_product(y, matrix ? bias : reshape_raw(wide, y.sizes()), x, w, {1, 1}, "linear", packed,
                finish);
  }
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  Tensor out = empty(linear_sizes(input, weight), input.options());
  linear_into(out, input, weight, bias, nullptr);
  return out;
}

bool fuse_linear(const Op& op, Value* args, Value* results) {
  const Tensor &x = args[0].as_tensor(), &w = args[1].as_tensor(), &bias = args[2].as_tensor();
  const bool simple = w.dim() == 2 && w.numel() > 0 && x.dim() > 0 && x.size(-1) == w.size(1) &&
                      (!bias.defined() || (bias.dim() == 1 && bias.numel() == w.size(0)));
  if (!simple || x.dtype() != DType::float32 || w.dtype() != DType::float32) return false;
  return begin_fused(op, args, results, {x, w, bias}, linear_sizes(x, w), false,
                     [](const TensorList& in, const Tensor& out, const Finish* finish) {
                       linear_into(out, in[0], in[1], in[2], finish);
                     });
}

void linear_back(Backward& b) {
  const Ints &sizes = b.sizes(0), &weight_sizes = b.sizes(1);
  const int64_t k = weight_sizes[weight_sizes.size() - 1];
  const int64_t n = weight_sizes.size() == 2 ? weight_sizes[0] : 1;
  int64_t rows = 1;
  for (size_t d = 0; d + 1 < sizes.size(); ++d) rows *= sizes[d];
  const bool plain = sizes.size() == 2 && weight_sizes.size() == 2;
  const Tensor g = plain ? b.grad() : call_reshape(b.grad(), Ints{rows, n});
  if (b.needs(0)) {
    const Tensor w = weight_sizes.size() == 2 ? b.in(1) : call_reshape(b.in(1), Ints{1, k});
    const Tensor x = call_mm(g, conjugate(w));
    b.set(0, plain ? x : call_reshape(x, sizes));
  }
  if (b.needs(1)) {
    const Tensor x = conjugate(plain ? b.in(0) : call_reshape(b.in(0), Ints{rows, k}));
    const Tensor w = call_mm(call_transpose(g, 0, 1), x);
    b.set(1, weight_sizes.size() == 2 ? w : call_reshape(w, weight_sizes));
  }
  if (b.needs(2)) b.set(2, call_sum_to(b.grad(), b.sizes(2)));
}

FLAMBEAU_OPS{
    {.schema = "mm(Tensor input, Tensor mat2) -> Tensor",
     .forward = native<mm>,
     .backward = mm_back,
     .saves = "input for mat2, mat2",
     .doc = "The product of two matrices, [n, m] and [m, p]."},
    {.schema = "spmm(Tensor input, Tensor mat2) -> Tensor", .flags = kNoMethod, .alias = "mm"},
    {.schema = "bmm(Tensor input, Tensor mat2) -> Tensor",
     .forward = native<bmm>,
     .backward = bmm_back,
     .saves = "input for mat2, mat2 for input",
     .doc = "Products of matrices batch by batch, [b, n, m] and [b, m, p]."},
    {.schema = "_batched_products(Tensor input, Tensor other) -> Tensor",
     .forward = native<batched_products>,
     .backward = batched_products_back,
     .saves = "input for other, other for input",
     .flags = kInternal,
     .node = "BmmBackward0",
     .doc = "Products of matrices whose leading dimensions broadcast."},
    {.schema = "matmul(Tensor input, Tensor other) -> Tensor",
     .forward = native<matmul>,
     .flags = kComposite,
     .doc = "The product of vectors, matrices or batches of matrices; batches broadcast."},
    {.schema = "mv(Tensor input, Tensor vec) -> Tensor",
     .forward = native<mv>,
     .backward = mv_back,
     .saves = "input for vec, vec for input",
     .doc = "The product of a matrix [n, m] and a vector [m]."},
    {.schema = "dot(Tensor input, Tensor tensor) -> Tensor",
     .forward = native<dot>,
     .backward = dot_back,
     .saves = "input for tensor, tensor for input",
     .doc = "The dot product of two vectors, without conjugation."},
    {.schema = "vdot(Tensor input, Tensor other) -> Tensor",
     .forward = native<vdot>,
     .flags = kComposite,
     .node = "VdotBackward0",
     .doc = "The dot product of two vectors, the first conjugated."},
    {.schema = "outer(Tensor input, Tensor vec2) -> Tensor",
     .forward = native<outer>,
     .flags = kCastsOut | kComposite,
     .doc = "The matrix of products of the elements of two vectors."},
    {.schema = "ger(Tensor input, Tensor vec2) -> Tensor", .alias = "outer"},
    {.schema = "inner(Tensor input, Tensor other) -> Tensor",
     .forward = native<inner>,
     .flags = kComposite,
     .doc = "Dot products along the last dimension of both tensors."},
    {.schema = "addmm(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) "
               "-> Tensor",
     .forward = native<addmm>,
     .backward = addmm_back,
     .saves = "mat1 for mat2, mat2",
     .flags = kInplace | kReadsFirst,
     .doc = "beta * input + alpha * (mat1 @ mat2); input broadcasts."},
    {.schema = "baddbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, "
               "Scalar alpha=1) -> Tensor",
     .forward = native<baddbmm>,
     .backward = baddbmm_back,
     .saves = "batch1 for batch2, batch2 for batch1",
     .flags = kInplace | kReadsFirst,
     .doc = "beta * input + alpha * (batch1 @ batch2), batch by batch; input broadcasts."},
    {.schema = "addbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, "
               "Scalar alpha=1) -> Tensor",
     .forward = native<addbmm>,
     .flags = kComposite | kInplace,
     .node = "AddbmmBackward0",
     .doc = "beta * input + alpha * sum of batch1[i] @ batch2[i]; input broadcasts."},
    {.schema = "addmv(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) "
               "-> Tensor",
     .forward = native<addmv>,
     .flags = kComposite | kInplace,
     .node = "AddmvBackward0",
     .doc = "beta * input + alpha * (mat @ vec); input broadcasts."},
    {.schema = "addr(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) "
               "-> Tensor",
     .forward = native<addr>,
     .flags = kCastsOut | kComposite | kInplace,
     .node = "AddrBackward0",
     .doc = "beta * input + alpha * outer(vec1, vec2); input broadcasts."},
    {.schema = "nn.functional.linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
     .forward = native<linear>,
     .backward = linear_back,
     .fuse = fuse_linear,
     .saves = "input for weight, weight for input",
     // PyTorch adds the product to the bias, whose gradient it sends on before the weight's.
     .flags = kNoMethod | kGradientsReversed,
     .node = "AddmmBackward0",
     .doc = "input @ weight.T + bias, along the last dimension of input."},
};

}  // namespace
}  // namespace flambeau

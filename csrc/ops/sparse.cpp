// Products with sparse matrices in compressed rows, and their gradients. flambeau.sparse calls them
// with the parts of its tensors.
#include "../kernels/sparse.h"

#include "../op.h"

namespace flambeau {
namespace {

const OpCall call_product("compressed_product"), call_sample("compressed_sample"),
    call_transposed("compressed_transposed"), call_index_select("index_select");

void check_parts(const Tensor& begin, const Tensor& column, const Tensor& dense) {
  check(begin.dtype() == DType::int64 && column.dtype() == DType::int64 && begin.dim() == 1 &&
            column.dim() == 1 && begin.numel() > 0,
        "sparse.mm(): expected vectors of int64 positions");
  check(dense.dim() == 2, "sparse.mm(): expected a matrix, got ", dense.dim(), "-D");
  check(dense.dtype() == DType::float32 || dense.dtype() == DType::float64,
        "sparse.mm(): expected float32 or float64, got ", dense.dtype());
}

CompressedArgs parts(const Tensor& begin, const Tensor& column, const Tensor& right) {
  CompressedArgs a{};
  a.begin = begin.data<int64_t>();
  a.column = column.data<int64_t>();
  a.rows = begin.numel() - 1;
  a.count = column.numel();
  a.columns = right.sizes()[0];
  a.width = right.sizes()[1];
  a.dtype = right.dtype();
  a.right = right.data();
  return a;
}

void run(const Kernel<void(const CompressedArgs&)>& kernel, CompressedArgs& a, const Tensor& out) {
  int64_t bad = 0;
  a.bad = &bad;
  a.out = out.data();
  kernel(out.device_type(), a);
  check_index(!bad, "sparse.mm(): the positions of the sparse matrix are out of range");
}

Tensor product(const Tensor& begin, const Tensor& column, const Tensor& values,
               const Tensor& dense) {
  check_parts(begin, column, dense);
  check(values.dtype() == dense.dtype() && values.numel() == column.numel(),
        "sparse.mm(): expected ", column.numel(), " values of ", dense.dtype(), ", got ",
        values.numel(), " of ", values.dtype());
  Tensor out = empty(Ints{begin.numel() - 1, dense.sizes()[1]}, dense.options());
  if (out.numel() == 0 || out.is_meta()) return out;
  Tensor b = begin.contiguous_raw(), c = column.contiguous_raw(), d = dense.contiguous_raw(),
         v = values.contiguous_raw();
  CompressedArgs a = parts(b, c, d);
  a.values = v.data();
  run(compressed_product_kernel, a, out);
  return out;
}

Tensor sample(const Tensor& begin, const Tensor& column, const Tensor& left, const Tensor& right) {
  check_parts(begin, column, right);
  check(left.dtype() == right.dtype() && left.dim() == 2 && left.sizes()[0] == begin.numel() - 1 &&
            left.sizes()[1] == right.sizes()[1],
        "sparse.sampled_addmm(): matrices of ", left.sizes(), " and ", right.sizes(),
        " do not go together");
  Tensor out = zeros(Ints{column.numel()}, right.options());
  if (out.numel() == 0 || out.is_meta()) return out;
  Tensor b = begin.contiguous_raw(), c = column.contiguous_raw(), l = left.contiguous_raw(),
         r = right.contiguous_raw();
  CompressedArgs a = parts(b, c, r);
  a.left = l.data();
  run(compressed_sample_kernel, a, out);
  return out;
}

// The same matrix by columns: where they begin, the rows, and which value each was.
std::tuple<Tensor, Tensor, Tensor> transposed(const Tensor& begin, const Tensor& column,
                                              int64_t columns) {
  check(begin.dtype() == DType::int64 && column.dtype() == DType::int64 && columns >= 0,
        "sparse.mm(): expected vectors of int64 positions");
  Tensor first = zeros(Ints{columns + 1}, begin.options()),
         row = empty(Ints{column.numel()}, begin.options()),
         from = empty(row.sizes(), row.options());
  if (begin.is_meta()) return {first, row, from};
  Tensor b = begin.contiguous_raw(), c = column.contiguous_raw();
  const int64_t *starts = b.data<int64_t>(), *at = c.data<int64_t>();
  auto* out = first.data<int64_t>();
  const int64_t n = c.numel(), rows = b.numel() - 1;
  for (int64_t k = 0; k < n; ++k) {
    check_index(at[k] >= 0 && at[k] < columns, "sparse.mm(): column ", at[k],
                " is out of range of ", columns);
    ++out[at[k] + 1];
  }
  for (int64_t i = 0; i < columns; ++i) out[i + 1] += out[i];
  std::vector<int64_t> next(out, out + columns);
  for (int64_t r = 0; r < rows; ++r) {
    check_index(starts[r] >= 0 && starts[r] <= starts[r + 1] && starts[r + 1] <= n,
                "sparse.mm(): the rows of the sparse matrix are out of range");
    for (int64_t k = starts[r]; k < starts[r + 1]; ++k) {
      const int64_t to = next[static_cast<size_t>(at[k])]++;
      row.data<int64_t>()[to] = r;
      from.data<int64_t>()[to] = k;
    }
  }
  return {first, row, from};
}

// The transpose of the matrix with these values, times a dense one.
Tensor transposed_product(const Tensor& begin, const Tensor& column, const Tensor& values,
                          int64_t columns, const Tensor& dense) {
  TensorList t = call_transposed.all(begin, column, columns);
  return call_product(t[0], t[1], call_index_select(values, 0, t[2]), dense);
}

void product_back(Backward& b) {
  Tensor begin = b.in(0), column = b.in(1), g = b.grad();
  if (b.needs(2)) b.set(2, call_sample(begin, column, g, b.in(3)));
  if (b.needs(3)) b.set(3, transposed_product(begin, column, b.in(2), b.sizes(3)[0], g));
}

void sample_back(Backward& b) {
  Tensor begin = b.in(0), column = b.in(1), g = b.grad();
  if (b.needs(2)) b.set(2, call_product(begin, column, g, b.in(3)));
  if (b.needs(3)) b.set(3, transposed_product(begin, column, g, b.sizes(3)[0], b.in(2)));
}

FLAMBEAU_OPS({
    {.schema = "compressed_product(Tensor begin, Tensor column, Tensor values, Tensor dense) "
               "-> Tensor",
     .forward = native<product>,
     .backward = product_back,
     .saves = "begin, column, values, dense",
     .flags = kInternal,
     .node = "SparseAddmmBackward0",
     .doc = "A matrix in compressed rows times a dense one."},
    {.schema = "compressed_sample(Tensor begin, Tensor column, Tensor left, Tensor right) "
               "-> Tensor",
     .forward = native<sample>,
     .backward = sample_back,
     .saves = "begin, column, left, right",
     .flags = kInternal,
     .node = "SparseSampledAddmmBackward0",
     .doc = "The elements of left @ right.T at the positions of a matrix in compressed rows."},
    {.schema = "compressed_transposed(Tensor begin, Tensor column, int columns) -> "
               "(Tensor begin, Tensor row, Tensor from)",
     .forward = native<transposed>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "A matrix in compressed rows, compressed by columns."},
});

}  // namespace
}  // namespace flambeau

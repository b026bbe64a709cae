// The three kinds of Fourier transform, along one dimension; flambeau/_ops/fft.py makes the public
// functions of them.
#include "../kernels/fft.h"

#include <cmath>
#include <map>
#include <mutex>

#include "shape.h"

namespace flambeau {
namespace {

constexpr int64_t kLongLine = 1 << 14;  // complex points that are taken as a matrix
constexpr int64_t kKeptNumbers = 1 << 24;  // in all tables

// cos(2 pi k / n), then -sin(2 pi k / n), for k < n: by eighths of the circle, where they are exact
// at its corners and within half a unit elsewhere.
template <class T>
void fill_table(T* out, int64_t n) {
  for (int64_t k = 0; k < n; ++k) {
    int64_t a = 8 * k, octant = a / n;  // angle 2 pi a / (8 n)
    a -= octant * n;
    if (octant % 2) a = n - a;
    const double t = 0.7853981633974483 * static_cast<double>(a) / static_cast<double>(n);
    double c = std::cos(t), s = std::sin(t);
    if (octant == 1 || octant == 2 || octant == 5 || octant == 6) std::swap(c, s);
    if (octant >= 2 && octant <= 5) c = -c;
    if (octant >= 4) s = -s;
    out[k] = static_cast<T>(c);
    out[n + k] = static_cast<T>(-s);
  }
}

// Kept for the next call: a table costs more than the transform. The result stays alive.
Tensor table_of(int64_t n, DType dtype) {
  static std::mutex mutex;
  static auto* tables = new std::map<std::pair<int64_t, DType>, Tensor>;
  static int64_t kept = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = tables->find({n, dtype});
  if (found != tables->end()) return found->second;
  Tensor made = empty(Ints{2, n}, {dtype, Device{}});
  if (dtype == DType::float64)
    fill_table(made.data<double>(), n);
  else
    fill_table(made.data<float>(), n);
  if ((kept += 2 * n) > kKeptNumbers) {
    tables->clear();
    kept = 2 * n;
  }
  (*tables)[{n, dtype}] = made;
  return made;
}

int64_t largest_prime_factor(int64_t n) {
  int64_t largest = 1;
  for (int64_t p = 2; p * p <= n; ++p)
    for (; n % p == 0; n /= p) largest = p;
  return n > 1 ? n : largest;
}

// Does n split into rows and columns that are worth it?
bool splits(int64_t n) {
  int64_t rows = 1;
  for (int64_t d = 1; d * d <= n; ++d)
    if (n % d == 0) rows = d;
  return rows >= 16;
}

Tensor transform(FftArgs a, const Tensor& input, int64_t dim, int64_t n_out, DType dtype) {
  const Tensor x = input.contiguous_raw();
  Ints sizes = x.sizes();
  sizes[dim] = n_out;
  Tensor out = empty(sizes, {dtype, x.device()});
  if (!out.numel() || x.is_meta()) return out;
  const DType real = to_real(dtype);
  const int64_t points = a.kind != FftArgs::complex && a.n % 2 == 0 ? a.n / 2 : a.n;
  a.f64 = real == DType::float64;
  a.in = x.data();
  a.out = out.data();
  a.outer = a.inner = 1;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (d != dim) (d < dim ? a.outer : a.inner) *= x.sizes()[d];
  const Tensor table = table_of(a.n, real);
  a.table = table.data();
  Tensor chirp, padded, work;
  if (largest_prime_factor(points) > kLargestRadix) {
    for (a.padded = 1; a.padded < 2 * points - 1;) a.padded *= 2;
    chirp = table_of(2 * points, real);
    padded = table_of(a.padded, real);
    a.chirp_table = chirp.data();
    a.padded_table = padded.data();
  } else if (points >= kLongLine && a.inner == 1 && splits(points) &&
             (a.kind == FftArgs::complex || a.n % 2 == 0)) {
    work = empty(Ints{4 * points}, {real, Device{}});
    a.work = work.data();
  }
  fft_kernel(x.device_type(), a);
  return out;
}

double scale_of(int64_t n, int64_t norm) {  // 0: as it is, 1: by the square root, 2: by n
  return norm == 0   ? 1.0
         : norm == 1 ? 1.0 / std::sqrt(static_cast<double>(n))
                     : 1.0 / static_cast<double>(n);
}

Tensor complex(const Tensor& input, const Ints& dims, int64_t norm, bool forward) {
  Tensor x = input;
  for (int64_t d : dims) {
    FftArgs a{};
    a.kind = FftArgs::complex;
    a.forward = forward;
    a.n = x.sizes()[d];
    a.scale = scale_of(a.n, norm);
    x = transform(a, x, d, a.n, x.dtype());
  }
  return x.is_same(input) ? input.clone_raw() : x;
}

Tensor from_real(const Tensor& x, int64_t dim, int64_t norm) {
  FftArgs a{};
  a.kind = FftArgs::from_real;
  a.forward = true;
  a.n = x.sizes()[dim];
  a.scale = scale_of(a.n, norm);
  return transform(a, x, dim, a.n / 2 + 1, to_complex(x.dtype()));
}

Tensor to_real_numbers(const Tensor& x, int64_t n, int64_t dim, int64_t norm) {
  FftArgs a{};
  a.kind = FftArgs::to_real;
  a.n = n;
  a.scale = scale_of(n, norm);
  return transform(a, x, dim, n, to_real(x.dtype()));
}

// -- gradients: the transform in the other direction, with the same factor
void complex_back(Backward& b) {
  static const OpCall f("_fft_complex");
  b.set(0, f(b.grad(), b.arg(1), b.arg(2), !b.arg(3).as_bool()));
}

void from_real_back(Backward& b) {
  static const OpCall f("_fft_complex"), real("real"), zeros("new_zeros"), cat("cat");
  const Tensor& g = b.grad();
  const int64_t dim = b.arg(1).as_int(), n = b.sizes(0)[dim];
  Tensor full = g;
  if (g.sizes()[dim] < n) {
    Ints rest = g.sizes();
    rest[dim] = n - g.sizes()[dim];
    full = cat(TensorList{g, zeros(g, rest)}, dim);
  }
  b.set(0, real(f(full, Ints{dim}, b.arg(2), false)));
}

void to_real_back(Backward& b) {
  static const OpCall f("_fft_from_real"), times("mul");
  const int64_t n = b.arg(1).as_int(), dim = b.arg(2).as_int();
  const Tensor half = f(b.grad(), dim, b.arg(3));
  const int64_t count = n / 2 + 1;
  // Points that stand for their mirror images too count twice.
  Ints shape(static_cast<size_t>(half.dim()), 1);
  shape[dim] = count;
  Tensor twice = empty(Ints{count}, {DType::float64, Device{}});
  for (int64_t k = 0; k < count; ++k) twice.data<double>()[k] = k == 0 || 2 * k == n ? 1 : 2;
  twice = reshape_raw(twice.to_raw(to_real(half.dtype())), shape);
  b.set(0, times(half, twice));
}

FLAMBEAU_OPS({
    {.schema = "_fft_complex(Tensor input, int[] dim, int norm, bool forward) -> Tensor",
     .forward = native<complex>,
     .backward = complex_back,
     .flags = kInternal,
     .doc = "Fourier transform of complex numbers, forward or back."},
    {.schema = "_fft_from_real(Tensor input, int dim, int norm) -> Tensor",
     .forward = native<from_real>,
     .backward = from_real_back,
     .flags = kInternal,
     .doc = "Fourier transform of n real numbers: the first n / 2 + 1 values."},
    {.schema = "_fft_to_real(Tensor input, int n, int dim, int norm) -> Tensor",
     .forward = native<to_real_numbers>,
     .backward = to_real_back,
     .flags = kInternal,
     .doc = "The inverse Fourier transform to n real numbers, of the first n / 2 + 1 values."},
});

}  // namespace
}  // namespace flambeau

// Runs a pointwise loop over strided operands of any dtype; copies and fills.
#include "gemm.h"
#include "move.h"
#include "rows.h"
#include "short_rows.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class C, class R>
struct Runner {
  const PointwiseArgs& a;
  const Loop& loop;

  template <class T>
  bool direct(int k) const {  // the loop can use the operand's memory where a row lies in order
    const LoopOperand& o = loop.operands[k];
    return o.dtype == dtype_of<T> && o.strides[0] == static_cast<int64_t>(sizeof(T));
  }

  void range(int64_t begin, int64_t end) const {
    int n = loop.noperands - 1;
    alignas(64) C in_buffer[kMaxOperands][kRun];
    alignas(64) R out_buffer[kRun];
    const void* in[kMaxOperands];
    bool straight = loop.operands[0].contiguous && direct<R>(0);
    bool constant[kMaxOperands] = {}, in_order[kMaxOperands] = {};
    for (int k = 0; k < n; ++k) {
      const LoopOperand& o = loop.operands[k + 1];
      constant[k] = o.constant && loop.numel > 1;
      in_order[k] = direct<C>(k + 1);
      if (constant[k]) {
        int64_t fill = end - begin < kRun ? end - begin : kRun;
        load_run<C>(in_buffer[k], o.data, o.dtype, 0, fill);
        in[k] = in_buffer[k];
      } else {
        straight = straight && o.contiguous && in_order[k];
      }
    }
    if (straight) {
      bool any_constant = false;
      for (int k = 0; k < n; ++k) any_constant |= constant[k];
      const int64_t step = any_constant ? kRun : end - begin;
      for (int64_t i = begin; i < end; i += step) {
        int64_t m = end - i < step ? end - i : step;
        for (int k = 0; k < n; ++k)
          if (!constant[k]) in[k] = loop.operands[k + 1].data + i * static_cast<int64_t>(sizeof(C));
        a.fn(in, loop.operands[0].data + i * static_cast<int64_t>(sizeof(R)), m, a.numbers);
      }
      return;
    }
    if (ShortRows::fit(loop)) return short_rows(begin, end);
    const bool out_direct = direct<R>(0);
    Cursor cursor(loop, begin);
    for (int64_t i = begin; i < end;) {
      int64_t m = end - i < kRun ? end - i : kRun;
      if (m > loop.sizes[0] - cursor.column) m = loop.sizes[0] - cursor.column;
      for (int k = 0; k < n; ++k) {
        if (constant[k]) continue;
        const LoopOperand& o = loop.operands[k + 1];
        if (in_order[k]) {
          in[k] = cursor.at(loop, k + 1);
        } else {
          load_run<C>(in_buffer[k], cursor.at(loop, k + 1), o.dtype, o.strides[0], m);
          in[k] = in_buffer[k];
        }
      }
      if (out_direct) {
        a.fn(in, cursor.at(loop, 0), m, a.numbers);
      } else {
        a.fn(in, out_buffer, m, a.numbers);
        const LoopOperand& o = loop.operands[0];
        store_run<R>(cursor.at(loop, 0), o.dtype, o.strides[0], out_buffer, m);
      }
      cursor.advance(loop, m);
      i += m;
    }
  }

  // Several rows at once: what does not lie in order is laid out in it first.
  void short_rows(int64_t begin, int64_t end) const {
    const int n = loop.noperands - 1;
    alignas(64) char raw[kMaxOperands][kRun * sizeof(Cx) + ShortRows::kSlack];
    alignas(64) C converted[kMaxOperands][kRun];
    alignas(64) R result[kRun];
    const void* in[kMaxOperands];
    ShortRows rows[kMaxOperands];
    const auto straight = [&](int k) { return loop.operands[k].contiguous; };
    for (int k = 0; k <= n; ++k)
      if (!straight(k)) rows[k].start(loop, k, begin);
    const int64_t run = ShortRows::run(loop);
    for (int64_t i = begin; i < end; i += run) {
      const int64_t m = end - i < run ? end - i : run;
      for (int k = 0; k < n; ++k) {
        const LoopOperand& o = loop.operands[k + 1];
        const int64_t item = item_size(o.dtype);
        const char* from = straight(k + 1) ? o.data + i * item : raw[k + 1];
        if (!straight(k + 1)) rows[k + 1].read(raw[k + 1], m);
        in[k] = from;
        if (o.dtype == dtype_of<C>) continue;
        load_run<C>(converted[k], from, o.dtype, item, m);
        in[k] = converted[k];
      }
      const LoopOperand& o = loop.operands[0];
      const int64_t item = item_size(o.dtype);
      char* to = straight(0) ? o.data + i * item : raw[0];
      void* out = o.dtype == dtype_of<R> ? static_cast<void*>(to) : result;
      a.fn(in, out, m, a.numbers);
      if (out == result) store_run<R>(to, o.dtype, item, result, m);
      if (!straight(0)) rows[0].write(raw[0], m);
    }
  }
};

template <class C, class R>
void run(const PointwiseArgs& a) {
  Runner<C, R> runner{a, *a.loop};
  const int64_t grain = a.heavy ? 8 * kRun : 32 * kRun;
  if (a.loop->numel <= grain) {
    if (a.loop->numel) runner.range(0, a.loop->numel);
    return;
  }
  parallel_for(0, a.loop->numel, grain, [&](int64_t b, int64_t e) { runner.range(b, e); });
}

template <class C>
void run_result(const PointwiseArgs& a) {
  if (a.result == PointwiseResult::boolean) return run<C, uint8_t>(a);
  if constexpr (__is_same(C, Cx))
    if (a.result == PointwiseResult::real) return run<C, double>(a);
  run<C, C>(a);
}

void pointwise(const PointwiseArgs& a) {
  switch (a.compute) {
    case Compute::f32: return run_result<float>(a);
    case Compute::f64: return run_result<double>(a);
    case Compute::i64: return run_result<int64_t>(a);
    default: return run_result<Cx>(a);
  }
}

// -- copies ---------------------------------------------------------------------------------------
template <class T>
void move_strided(char* dst, int64_t ds, const char* src, int64_t ss, int64_t n) {
  if (ss == sizeof(T) && ds == sizeof(T)) {
    __builtin_memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  if (ss == 0 && ds == sizeof(T)) {
    const T x = *reinterpret_cast<const T*>(src);
    for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(dst)[i] = x;
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<T*>(dst + i * ds) = *reinterpret_cast<const T*>(src + i * ss);
}

void move(char* dst, int64_t ds, const char* src, int64_t ss, int64_t n, int64_t size) {
  switch (size) {
    case 1: return move_strided<uint8_t>(dst, ds, src, ss, n);
    case 2: return move_strided<uint16_t>(dst, ds, src, ss, n);
    case 4: return move_strided<uint32_t>(dst, ds, src, ss, n);
    case 8: return move_strided<uint64_t>(dst, ds, src, ss, n);
    default: return move_strided<Cx>(dst, ds, src, ss, n);
  }
}

// A dimension in which the source is dense while the output's innermost is not dense in it: walk
// both in tiles, so that the lines of either cache line are used whole.
constexpr int64_t kTile = 32;

bool transposed(const Loop& loop, int64_t size) {
  return loop.ndim >= 2 && loop.operands[0].strides[0] == size &&
         loop.operands[1].strides[1] == size && loop.operands[1].strides[0] != 0 &&
         loop.sizes[0] >= 8 && loop.sizes[1] >= 8;
}

// Eight by eight numbers, turned in registers: neighbours change places, then pairs, then fours.
template <int size>
struct EightOf;
#define FLAMBEAU_EIGHT(T)                                                                       \
  template <>                                                                                   \
  struct EightOf<sizeof(T)> {                                                                   \
    typedef T Reg __attribute__((vector_size(8 * sizeof(T))));                                  \
    typedef T Loose __attribute__((vector_size(8 * sizeof(T)), aligned(sizeof(T)), may_alias)); \
  };
FLAMBEAU_EIGHT(uint8_t)
FLAMBEAU_EIGHT(uint16_t)
FLAMBEAU_EIGHT(uint32_t)
FLAMBEAU_EIGHT(uint64_t)
#undef FLAMBEAU_EIGHT

template <int Step, class R>
FLAMBEAU_INLINE void exchange_rows(R (&r)[8]) {
  for (int i = 0; i < 8; ++i)
    if (!(i & Step)) exchange<R, Step>(r[i], r[i + Step], MakeLanes<8>::type{});
}

template <class T>
void turn_eight(char* dst, int64_t ds1, const char* src, int64_t ss0) {
  using Eight = EightOf<sizeof(T)>;
  typename Eight::Reg r[8];
  for (int i = 0; i < 8; ++i) r[i] = *reinterpret_cast<const typename Eight::Loose*>(src + i * ss0);
  exchange_rows<1>(r), exchange_rows<2>(r), exchange_rows<4>(r);
  for (int i = 0; i < 8; ++i) *reinterpret_cast<typename Eight::Loose*>(dst + i * ds1) = r[i];
}

template <class T>
void turn_tile(char* dst, int64_t ds1, const char* src, int64_t ss0, int64_t n0, int64_t n1) {
  constexpr auto size = static_cast<int64_t>(sizeof(T));
  const int64_t whole0 = n0 / 8 * 8, whole1 = n1 / 8 * 8;
  for (int64_t j = 0; j < whole1; j += 8)
    for (int64_t i = 0; i < whole0; i += 8)
      turn_eight<T>(dst + j * ds1 + i * size, ds1, src + i * ss0 + j * size, ss0);
  for (int64_t j = 0; j < n1; ++j)
    for (int64_t i = j < whole1 ? whole0 : 0; i < n0; ++i)
      *reinterpret_cast<T*>(dst + j * ds1 + i * size) =
          *reinterpret_cast<const T*>(src + i * ss0 + j * size);
}

// A few dense streams of the source take turns in the output: one number of each.
bool interleaved(const Loop& loop, int64_t size) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  return loop.ndim >= 2 && loop.sizes[0] <= 4 && size <= 8 && loop.sizes[1] >= 8 &&
         d.strides[0] == size && d.strides[1] == loop.sizes[0] * size && s.strides[1] == size;
}

template <class T, int N>
void take_turns(T* dst, const char* src, int64_t stride, int64_t n) {
  const T* in[N];
  for (int k = 0; k < N; ++k) in[k] = reinterpret_cast<const T*>(src + k * stride);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    for (int k = 0; k < N; ++k) dst[i * N + k] = in[k][i];
}

template <class T>
void copy_interleaved(const Loop& loop) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  const int64_t line = loop.sizes[0] * loop.sizes[1], lines = loop.numel / line;
  parallel_for(0, lines, 32 * kRun / line + 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const Cursor c(loop, i * line);
      T* dst = reinterpret_cast<T*>(c.at(loop, 0));
      const char* src = c.at(loop, 1);
      switch (loop.sizes[0]) {
        case 2: take_turns<T, 2>(dst, src, s.strides[0], loop.sizes[1]); break;
        case 3: take_turns<T, 3>(dst, src, s.strides[0], loop.sizes[1]); break;
        case 4: take_turns<T, 4>(dst, src, s.strides[0], loop.sizes[1]); break;
        default:
          move_strided<T>(reinterpret_cast<char*>(dst), d.strides[1], src, s.strides[1],
                          loop.sizes[1]);
      }
    }
  });
}

void copy_transposed(const Loop& loop, int64_t size) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  int64_t t0 = (loop.sizes[0] + kTile - 1) / kTile, t1 = (loop.sizes[1] + kTile - 1) / kTile;
  int64_t outer = loop.numel / (loop.sizes[0] * loop.sizes[1]);
  parallel_for(0, outer * t0 * t1, 32, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      int64_t i0 = i % t0 * kTile, i1 = i / t0 % t1 * kTile, rest = i / (t0 * t1);
      char* dst = d.data + i0 * d.strides[0] + i1 * d.strides[1];
      const char* src = s.data + i0 * s.strides[0] + i1 * s.strides[1];
      for (int k = 2; k < loop.ndim; ++k) {
        dst += rest % loop.sizes[k] * d.strides[k];
        src += rest % loop.sizes[k] * s.strides[k];
        rest /= loop.sizes[k];
      }
      int64_t n0 = loop.sizes[0] - i0 < kTile ? loop.sizes[0] - i0 : kTile;
      int64_t n1 = loop.sizes[1] - i1 < kTile ? loop.sizes[1] - i1 : kTile;
      switch (size) {
        case 1: turn_tile<uint8_t>(dst, d.strides[1], src, s.strides[0], n0, n1); break;
        case 2: turn_tile<uint16_t>(dst, d.strides[1], src, s.strides[0], n0, n1); break;
        case 4: turn_tile<uint32_t>(dst, d.strides[1], src, s.strides[0], n0, n1); break;
        case 8: turn_tile<uint64_t>(dst, d.strides[1], src, s.strides[0], n0, n1); break;
        default:
          for (int64_t k = 0; k < n1; ++k)
            move_strided<Cx>(dst + k * d.strides[1], d.strides[0],
                             src + k * static_cast<int64_t>(sizeof(Cx)), s.strides[0], n0);
      }
    }
  });
}

constexpr int64_t kGrain = 64 * kRun;  // elements that are worth a thread

// Several short rows at once, by way of C where the types differ.
template <class C>
void copy_short(const Loop& loop) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  const int64_t d_item = item_size(d.dtype), s_item = item_size(s.dtype);
  parallel_for(0, loop.numel, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) char in[kRun * sizeof(Cx) + ShortRows::kSlack], out[kRun * sizeof(Cx)];
    alignas(64) C converted[kRun];
    ShortRows reading, writing;
    if (!s.contiguous) reading.start(loop, 1, begin);
    if (!d.contiguous) writing.start(loop, 0, begin);
    const int64_t run = ShortRows::run(loop);
    for (int64_t i = begin; i < end; i += run) {
      const int64_t m = end - i < run ? end - i : run;
      const char* from = s.contiguous ? s.data + i * s_item : in;
      char* to = d.contiguous ? d.data + i * d_item : out;
      if (!s.contiguous) reading.read(in, m);
      if (d.dtype != s.dtype) {
        load_run<C>(converted, from, s.dtype, s_item, m);
        store_run<C>(to, d.dtype, d_item, converted, m);
        from = to;
      }
      if (!d.contiguous)
        writing.write(from, m);
      else if (from != to)
        __builtin_memcpy(to, from, static_cast<size_t>(m * d_item));
    }
  });
}

template <class C>
void copy_converted(const Loop& loop) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  constexpr int64_t size = sizeof(C);
  if (ShortRows::fit(loop)) return copy_short<C>(loop);
  each_row(loop, kGrain, [&](const Cursor& c, int64_t n) {
    alignas(64) C buffer[kRun];
    char* dst = c.at(loop, 0);
    const char* src = c.at(loop, 1);
    if (d.dtype == dtype_of<C> && d.strides[0] == size)
      return load_run<C>(reinterpret_cast<C*>(dst), src, s.dtype, s.strides[0], n);
    if (s.dtype == dtype_of<C> && s.strides[0] == size)
      return store_run<C>(dst, d.dtype, d.strides[0], reinterpret_cast<const C*>(src), n);
    for (int64_t i = 0; i < n; i += kRun) {
      int64_t m = n - i < kRun ? n - i : kRun;
      load_run<C>(buffer, src + i * s.strides[0], s.dtype, s.strides[0], m);
      store_run<C>(dst + i * d.strides[0], d.dtype, d.strides[0], buffer, m);
    }
  });
}

// Rows of small integers, without a wider type between.
template <class D, class S>
void convert_rows(const Loop& loop) {
  each_row(loop, kGrain, [&](const Cursor& c, int64_t n) {
    D* to = reinterpret_cast<D*>(c.at(loop, 0));
    const S* from = reinterpret_cast<const S*>(c.at(loop, 1));
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = narrow_one<D>(widen_one<int32_t>(from[i]));
  });
}
template <class S>
bool convert_from(const Loop& loop) {
  switch (loop.operands[0].dtype) {
    case DType::boolean: return convert_rows<Bool, S>(loop), true;
    case DType::uint8: return convert_rows<uint8_t, S>(loop), true;
    case DType::int8: return convert_rows<int8_t, S>(loop), true;
    case DType::int16: return convert_rows<int16_t, S>(loop), true;
    case DType::int32: return convert_rows<int32_t, S>(loop), true;
    case DType::int64: return convert_rows<int64_t, S>(loop), true;
    case DType::float32: return convert_rows<float, S>(loop), true;
    default: return false;
  }
}
bool convert_small(const Loop& loop) {
  for (int k = 0; k < 2; ++k)
    if (loop.operands[k].strides[0] != item_size(loop.operands[k].dtype)) return false;
  if (ShortRows::fit(loop)) return false;
  switch (loop.operands[1].dtype) {
    case DType::boolean: return convert_from<Bool>(loop);
    case DType::uint8: return convert_from<uint8_t>(loop);
    case DType::int8: return convert_from<int8_t>(loop);
    case DType::int16: return convert_from<int16_t>(loop);
    case DType::int32: return convert_from<int32_t>(loop);
    default: return false;
  }
}

// Dense rows, those of the second dimension without looking for each where it stands.
void copy_rows(const Loop& loop, int64_t bytes) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  const int64_t width = loop.sizes[0], rows = loop.numel / width;
  parallel_for(0, rows, kGrain / width, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e;) {
      const Cursor c(loop, i * width);
      int64_t n = loop.sizes[1] - c.index[1];
      if (n > e - i) n = e - i;
      char* dst = c.at(loop, 0);
      const char* src = c.at(loop, 1);
      for (int64_t k = 0; k < n; ++k)
        move_row(dst + k * d.strides[1], src + k * s.strides[1], bytes);
      i += n;
    }
  });
}

void copy(const Loop& loop) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  if (d.dtype == s.dtype) {
    int64_t size = item_size(d.dtype);
    if (transposed(loop, size)) return copy_transposed(loop, size);
    if (interleaved(loop, size)) switch (size) {
        case 1: return copy_interleaved<uint8_t>(loop);
        case 2: return copy_interleaved<uint16_t>(loop);
        case 4: return copy_interleaved<uint32_t>(loop);
        default: return copy_interleaved<uint64_t>(loop);
      }
    const bool rows = d.strides[0] == size && s.strides[0] == size;
    if (rows && loop.ndim > 1 && loop.sizes[0] <= kRun && loop.sizes[0] * size > 16 &&
        loop.sizes[1] >= 8)
      return copy_rows(loop, loop.sizes[0] * size);
    if (ShortRows::fit(loop)) return copy_short<float>(loop);
    each_row(loop, kGrain, [&](const Cursor& c, int64_t n) {
      move(c.at(loop, 0), d.strides[0], c.at(loop, 1), s.strides[0], n, size);
    });
    return;
  }
  switch (s.dtype) {  // by way of a type that holds every value of the source
    case DType::float64: return copy_converted<double>(loop);
    case DType::complex64:
    case DType::complex128: return copy_converted<Cx>(loop);
    case DType::float32:
    case DType::float16:
    case DType::bfloat16:
    case DType::float8_e4m3fn:
    case DType::float8_e5m2: return copy_converted<float>(loop);
    default: return convert_small(loop) ? void() : copy_converted<int64_t>(loop);
  }
}

void fill(const Loop& loop, const void* value) {
  const LoopOperand& d = loop.operands[0];
  int64_t size = item_size(d.dtype);
  const auto* src = static_cast<const char*>(value);
  if (ShortRows::fit(loop)) {
    alignas(64) char run[kRun * sizeof(Cx)];
    move(run, size, src, 0, kRun, size);
    return parallel_for(0, loop.numel, kGrain, [&](int64_t begin, int64_t end) {
      ShortRows rows;
      rows.start(loop, 0, begin);
      for (int64_t i = begin; i < end; i += kRun) rows.write(run, end - i < kRun ? end - i : kRun);
    });
  }
  each_row(loop, kGrain,
           [&](const Cursor& c, int64_t n) { move(c.at(loop, 0), d.strides[0], src, 0, n, size); });
}

}  // namespace

FLAMBEAU_REGISTER(pointwise_kernel, pointwise);
FLAMBEAU_REGISTER(copy_kernel, copy);
FLAMBEAU_REGISTER(fill_kernel, fill);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

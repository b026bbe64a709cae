// Convolutions of one to three dimensions and their transposes. Three operators that are each
// other's gradients do the work: the output, the input and the weight of a convolution, each from
// the other two.
#include "../kernels/conv.h"

#include "../autocast.h"
#include "../fused.h"
#include "../packs.h"
#include "shape.h"

namespace flambeau {
namespace {

const OpCall call_output("_conv_output"), call_input("_conv_input"), call_weight("_conv_weight"),
    call_conj("conj"), call_real("real"), call_imag("imag"), call_complex("complex"),
    call_add("add"), call_sub("sub"), call_sum_to("sum_to_size"), call_reshape("reshape"),
    call_unsqueeze("unsqueeze");

struct Geometry {
  Ints stride, padding, dilation;  // padding: before the input
  int64_t groups;
};

enum class Role { output, input, weight };

void set_sizes(ConvArgs& a, const Tensor& x, const Tensor& w, const Tensor& y, const Geometry& g) {
  const int64_t n = x.dim() - 2;
  a.batch = x.sizes()[0], a.groups = g.groups;
  a.in_channels = x.sizes()[1], a.out_channels = y.sizes()[1];
  for (int64_t d = 0; d < n; ++d) {
    const int64_t i = 3 - n + d;
    a.in[i] = x.sizes()[d + 2], a.out[i] = y.sizes()[d + 2], a.kernel[i] = w.sizes()[d + 2];
    a.stride[i] = g.stride[d], a.padding[i] = g.padding[d];
    a.dilation[i] = a.kernel[i] > 1 ? g.dilation[d] : 1;
  }
}

// Two of x, w and y give the third, `result`, of float32 or float64.
void run(Role role, const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& bias,
         const Geometry& g, const Finish* finish = nullptr) {
  ConvArgs a;
  set_sizes(a, x, w, y, g);
  a.finish = finish;
  const Tensor& result = role == Role::output ? y : role == Role::input ? x : w;
  a.is_double = result.dtype() == DType::float64;
  const Tensor dense_bias = bias.defined() ? bias.contiguous_raw() : Tensor();
  if (bias.defined()) a.bias = dense_bias.data();
  const Tensor dx = x.contiguous_raw(), dw = w.contiguous_raw(), dy = y.contiguous_raw();
  a.input = dx.data(), a.weight = dw.data(), a.output = dy.data();
  Ref<Storage> kept;
  if (role == Role::output) {
    int64_t bytes = 0;
    conv_filters_kernel(result.device_type(), a, nullptr, &bytes);
    if (bytes > 0)
      kept = kept_pack(Pack::filters, bytes << 20 | g.groups, w, static_cast<size_t>(bytes),
                       [&](void* to) { conv_filters_kernel(result.device_type(), a, to, &bytes); });
    if (kept) a.filters = kept->data;
  }
  const auto& kernel = role == Role::output  ? conv_output_kernel
                       : role == Role::input ? conv_input_kernel
                                             : conv_weight_kernel;
  kernel(result.device_type(), a);
}

Ints result_sizes(Role role, const Tensor& a, const Tensor& b, IntSpan size, int64_t groups) {
  Ints sizes;
  if (role == Role::weight)
    sizes = {b.sizes()[1], a.sizes()[1] / groups};
  else
    sizes = {a.sizes()[0], role == Role::output ? b.sizes()[0] : b.sizes()[1] * groups};
  for (int64_t s : size) sizes.push_back(s);
  return sizes;
}

// A bfloat16 convolution in pairs of channels. w is bfloat16, or float32 that autocast left to be
// rounded while it is packed.
struct Pairs {
  ConvPairsArgs args;
  int64_t packed = 0;  // bytes of the filters; 0: there is no such form
};
Pairs in_pairs(const Tensor& x, const Tensor& w, const Tensor& out, const Geometry& g) {
  Pairs p;
  if (x.dtype() != DType::bfloat16 || x.device_type() != DeviceType::cpu) return p;
  if (x.numel() == 0 || w.numel() == 0 || out.numel() == 0) return p;
  set_sizes(p.args, x, w, out, g);
  p.args.weight_is_float = w.dtype() == DType::float32;
  p.args.bytes = &p.packed;
  conv_pairs_kernel(DeviceType::cpu, p.args);
  p.args.bytes = nullptr;
  return p;
}

void run_in_pairs(const Pairs& form, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Tensor& out, int64_t groups, const Finish* finish = nullptr) {
  ConvPairsArgs a = form.args;
  int64_t size = form.packed;
  const auto pack = [&](void* to) {
    const Tensor dense = w.contiguous_raw();
    a.weight = dense.data(), a.pack = to, a.bytes = &size;
    conv_pairs_kernel(DeviceType::cpu, a);
  };
  const auto bytes = static_cast<size_t>(size);
  Ref<Storage> packed = kept_pack(Pack::filters, groups, w, bytes, pack);
  if (!packed) pack((packed = Storage::allocate(bytes, Device{}))->data);
  const Tensor dx = x.contiguous_raw();
  const Tensor dense_bias = bias.defined() ? bias.contiguous_raw() : Tensor();
  if (bias.defined()) a.bias = dense_bias.data();
  a.bytes = nullptr;
  a.input = dx.data(), a.output = out.data(), a.packed = packed->data, a.finish = finish;
  conv_pairs_kernel(DeviceType::cpu, a);
}

// a and b are the two that are given, in the order input, output or either before the weight.
Tensor convolve(Role role, const Tensor& a, const Tensor& b, const Tensor& bias, IntSpan size,
                const Geometry& g) {
  const DType t = a.dtype();
  if (is_complex(t)) {
    const Tensor ar = call_real(a), ai = call_imag(a), br = call_real(b), bi = call_imag(b);
    const auto real = [&](const Tensor& p, const Tensor& q) {
      return convolve(role, p, q, Tensor(), size, g);
    };
    Tensor out =
        call_complex(call_sub(real(ar, br), real(ai, bi)), call_add(real(ar, bi), real(ai, br)));
    if (!bias.defined()) return out;
    Ints column(static_cast<size_t>(out.dim()), 1);
    column[1] = bias.numel();
    return call_add(out, call_reshape(bias, column));
  }
  const Ints sizes = result_sizes(role, a, b, size, g.groups);
  if (t == DType::bfloat16 && role == Role::output) {
    const Tensor out = empty(sizes, a.options());
    if (const Pairs form = in_pairs(a, b, out, g); form.packed) {
      run_in_pairs(form, a, b, bias, out, g.groups);
      return out;
    }
  }
  const DType work = t == DType::float32 || t == DType::float64 ? t
                     : is_floating(t)                           ? DType::float32
                                                                : DType::float64;
  Tensor out = empty(sizes, a.options(work));
  if (!out.is_meta()) {
    const Tensor wa = a.to_raw(work), wb = b.to_raw(t).to_raw(work);
    const Tensor wbias = bias.defined() ? bias.to_raw(work) : bias;
    if (role == Role::output) run(role, wa, wb, out, wbias, g);
    if (role == Role::input) run(role, out, wb, wa, wbias, g);
    if (role == Role::weight) run(role, wa, out, wb, wbias, g);
  }
  return out.to_raw(t);
}

// -- the three recorded operators -----------------------------------------------------------------
// All take two tensors, a bias (but for the weight), size, stride, padding, dilation, groups.

Tensor conv_output(const Tensor& x, const Tensor& w, const Tensor& bias, const Ints& size,
                   const Ints& stride, const Ints& padding, const Ints& dilation, int64_t groups) {
  return convolve(Role::output, x, w, bias, size, {stride, padding, dilation, groups});
}
Tensor conv_input(const Tensor& y, const Tensor& w, const Tensor& bias, const Ints& size,
                  const Ints& stride, const Ints& padding, const Ints& dilation, int64_t groups) {
  return convolve(Role::input, y, w, bias, size, {stride, padding, dilation, groups});
}
Tensor conv_weight(const Tensor& x, const Tensor& y, const Ints& size, const Ints& stride,
                   const Ints& padding, const Ints& dilation, int64_t groups) {
  return convolve(Role::weight, x, y, Tensor(), size, {stride, padding, dilation, groups});
}

// The forward of _conv_output, where normalization and activation may follow.
bool fuse_output(const Op& op, Value* args, Value* results) {
  const TensorList reads{args[0].as_tensor(), args[1].as_tensor(), args[2].as_tensor()};
  const Geometry g{args[4].as_ints(), args[5].as_ints(), args[6].as_ints(), args[7].as_int()};
  if (reads[0].numel() == 0 || reads[1].numel() == 0) return false;
  const Ints sizes = result_sizes(Role::output, reads[0], reads[1], args[3].as_ints(), g.groups);
  const DType dtype = reads[0].dtype();
  Pairs form;
  if (dtype == DType::bfloat16) form = in_pairs(reads[0], reads[1], empty_later(sizes, dtype), g);
  if (!form.packed && (dtype != DType::float32 || reads[1].dtype() != dtype)) return false;
  return begin_fused(op, args, results, reads, sizes, true,
                     [g, form](const TensorList& in, const Tensor& out, const Finish* finish) {
                       if (form.packed)
                         run_in_pairs(form, in[0], in[1], in[2], out, g.groups, finish);
                       else
                         run(Role::output, in[0], in[1], out, in[2], g, finish);
                     });
}

Ints spatial(const Ints& sizes) { return Ints(IntSpan(sizes.data() + 2, sizes.size() - 2)); }
Tensor conjugate(const Tensor& t) { return is_complex(t.dtype()) ? call_conj(t) : t; }

Tensor channel_sums(const Tensor& g, const Ints& bias_sizes) {
  Ints column(static_cast<size_t>(g.dim()), 1);
  column[1] = g.sizes()[1];
  return call_reshape(call_sum_to(g, column), bias_sizes);
}

void conv_output_back(Backward& b) {
  const Tensor& g = b.grad();
  const Value &stride = b.arg(4), &padding = b.arg(5), &dilation = b.arg(6), &groups = b.arg(7);
  if (b.needs(0))
    b.set(0, call_input(g, conjugate(b.in(1)), Value(), spatial(b.sizes(0)), stride, padding,
                        dilation, groups));
  if (b.needs(1))
    b.set(1, call_weight(conjugate(b.in(0)), g, spatial(b.sizes(1)), stride, padding, dilation,
                         groups));
  if (b.needs(2)) b.set(2, channel_sums(g, b.sizes(2)));
}

void conv_input_back(Backward& b) {
  const Tensor& g = b.grad();
  const Value &stride = b.arg(4), &padding = b.arg(5), &dilation = b.arg(6), &groups = b.arg(7);
  if (b.needs(0))
    b.set(0, call_output(g, conjugate(b.in(1)), Value(), spatial(b.sizes(0)), stride, padding,
                         dilation, groups));
  if (b.needs(1))
    b.set(1, call_weight(g, conjugate(b.in(0)), spatial(b.sizes(1)), stride, padding, dilation,
                         groups));
  if (b.needs(2)) b.set(2, channel_sums(g, b.sizes(2)));
}

void conv_weight_back(Backward& b) {
  const Tensor& g = b.grad();
  const Value &stride = b.arg(3), &padding = b.arg(4), &dilation = b.arg(5), &groups = b.arg(6);
  if (b.needs(0))
    b.set(0, call_input(conjugate(b.in(1)), g, Value(), spatial(b.sizes(0)), stride, padding,
                        dilation, groups));
  if (b.needs(1))
    b.set(1, call_output(conjugate(b.in(0)), g, Value(), spatial(b.sizes(1)), stride, padding,
                         dilation, groups));
}

// -- what programs call ---------------------------------------------------------------------------
// One number stands for all dimensions.
Ints for_dims(const Ints& v, int64_t n, const char* op, const char* what) {
  if (v.size() == 1) return Ints(static_cast<size_t>(n), v[0]);
  check(static_cast<int64_t>(v.size()) == n, op, "(): expected ", what,
        " to be a single integer "
        "value or a list of ",
        n, " values to match the convolution dimensions, but got ", what, "=", v);
  return v;
}

void check_geometry(const Geometry& g, const char* op) {
  for (int64_t s : g.stride)
    check(s > 0, op, "(): non-positive stride is not supported, got stride=", g.stride);
  for (int64_t p : g.padding)
    check(p >= 0, op, "(): negative padding is not supported, got padding=", g.padding);
  for (int64_t d : g.dilation)
    check(d > 0, op, "(): dilation should be greater than zero, but got ", g.dilation);
  check(g.groups > 0, op, "(): non-positive groups is not supported, got groups=", g.groups);
}

void check_tensors(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t n, int64_t groups,
                   bool transposed, const char* op) {
  check(w.dim() == n + 2, op, "(): expected a ", n + 2,
        "-dimensional weight, but got weight of "
        "size ",
        w.sizes());
  for (int64_t d = 0; d < n + 2; ++d)
    check(w.sizes()[d] > 0 || (d == 1 && !transposed), op,
          "(): expected weight to be at least 1 at dimension ", d, ", but got weight of size ",
          w.sizes(), " instead");
  check(w.sizes()[0] % groups == 0, op, "(): Given groups=", groups,
        ", expected weight to be "
        "divisible by ",
        groups, " at dimension 0, but got weight of size ", w.sizes(), " instead");
  const int64_t in = transposed ? w.sizes()[0] : w.sizes()[1] * groups;
  const int64_t out = transposed ? w.sizes()[1] * groups : w.sizes()[0];
  check(x.sizes()[1] == in, op, "(): Given ",
        transposed ? "transposed=1" : "groups=", transposed ? "" : std::to_string(groups),
        ", weight of size ", w.sizes(), ", expected input", x.sizes(), " to have ", in,
        " channels, but got ", x.sizes()[1], " channels instead");
  check(x.dtype() == w.dtype() || later_cast(x, w), op, "(): Input type (", x.dtype(),
        ") and weight type (", w.dtype(), ") should be the same");
  check(x.device() == w.device(), op, "(): Input is on ", x.device(), " and weight on ",
        w.device());
  if (x.dtype() == DType::boolean)
    fail(ErrorKind::not_implemented, op, "(): not implemented for ", x.dtype());
  if (!bias.defined()) return;
  check(bias.dim() == 1 && bias.numel() == out, op, "(): Given weight of size ", w.sizes(),
        ", expected bias to be 1-dimensional with ", out, " elements, but got bias of size ",
        bias.sizes(), " instead");
  check(x.dtype() == bias.dtype(), op, "(): Input type (", x.dtype(), ") and bias type (",
        bias.dtype(), ") should be the same");
}

Tensor batched(const Tensor& x, int64_t n, const char* op) {
  check(x.dim() == n + 1 || x.dim() == n + 2, op, "(): Expected ", n + 1, "D (unbatched) or ",
        n + 2, "D (batched) input to ", op, ", but got input of size: ", x.sizes());
  return x.dim() == n + 1 ? call_unsqueeze(x, 0) : x;
}
Tensor unbatched(const Tensor& y, const Tensor& x) {
  if (x.dim() == y.dim()) return y;
  return call_reshape(y, Ints(IntSpan(y.sizes().data() + 1, y.dim() - 1)));
}

// Sums of nothing, which still reach the input and the weight, and the bias.
Tensor of_no_channels(const Tensor& x, const Tensor& w, const Tensor& bias, const Ints& size) {
  static const OpCall sum("sum"), expand("expand"), add("add"), clone("clone");
  Ints shape{x.sizes()[0], w.sizes()[0]}, column(size.size() + 1, 1);
  for (int64_t n : size) shape.push_back(n);
  column[0] = w.sizes()[0];
  const Tensor none = add(sum(x), sum(w));
  const Tensor each = bias.defined() ? add(call_reshape(bias, column), none) : none;
  return clone(expand(each, shape), MemoryFormat::contiguous);
}

Tensor conv(int64_t n, const char* op, const Tensor& input, const Tensor& w, const Tensor& bias,
            Geometry g, bool same) {
  g.stride = for_dims(g.stride, n, op, "stride");
  g.padding = for_dims(g.padding, n, op, "padding");
  g.dilation = for_dims(g.dilation, n, op, "dilation");
  check_geometry(g, op);
  const Tensor x = batched(input, n, op);
  check_tensors(x, w, bias, n, g.groups, false, op);
  Ints size;
  for (int64_t d = 0; d < n; ++d) {
    const int64_t reach = (w.sizes()[d + 2] - 1) * g.dilation[d], in = x.sizes()[d + 2];
    if (same) {
      check(g.stride[d] == 1, op, "(): padding='same' is not supported for strided convolutions");
      g.padding[d] = reach / 2;
      size.push_back(in);
      continue;
    }
    const int64_t padded = in + 2 * g.padding[d];
    check(padded > reach, op, "(): Kernel size can't be greater than actual input size: dimension ",
          d, " of the input has size ", padded, " with its padding, the kernel reaches over ",
          reach + 1);
    size.push_back((padded - reach - 1) / g.stride[d] + 1);
  }
  if (w.sizes()[1] == 0) return unbatched(of_no_channels(x, w, bias, size), input);
  Value none_or_bias(bias);
  return unbatched(call_output(x, w, none_or_bias, size, g.stride, g.padding, g.dilation, g.groups),
                   input);
}

Tensor transposed(int64_t n, const char* op, const Tensor& input, const Tensor& w,
                  const Tensor& bias, Geometry g, Ints extra) {
  g.stride = for_dims(g.stride, n, op, "stride");
  g.padding = for_dims(g.padding, n, op, "padding");
  g.dilation = for_dims(g.dilation, n, op, "dilation");
  extra = for_dims(extra, n, op, "output_padding");
  check_geometry(g, op);
  const Tensor x = batched(input, n, op);
  check_tensors(x, w, bias, n, g.groups, true, op);
  Ints size;
  for (int64_t d = 0; d < n; ++d) {
    check(extra[d] >= 0, op, "(): negative output_padding is not supported, got ", extra);
    check(extra[d] < g.stride[d] || extra[d] < g.dilation[d], op,
          "(): output padding must be "
          "smaller than either stride or dilation, but got output_padding=",
          extra, ", stride=", g.stride, ", dilation=", g.dilation);
    size.push_back((x.sizes()[d + 2] - 1) * g.stride[d] - 2 * g.padding[d] +
                   g.dilation[d] * (w.sizes()[d + 2] - 1) + extra[d] + 1);
    check(size[d] > 0, op, "(): Given input size per channel: ", spatial(x.sizes()),
          ". Calculated output size in dimension ", d, ": ", size[d], ". Output size is too small");
  }
  Value none_or_bias(bias);
  return unbatched(call_input(x, w, none_or_bias, size, g.stride, g.padding, g.dilation, g.groups),
                   input);
}

template <int N>
constexpr const char* kConvName = N == 1   ? "conv1d"
                                  : N == 2 ? "conv2d"
                                           : "conv3d";
template <int N>
constexpr const char* kTransposedName = N == 1   ? "conv_transpose1d"
                                        : N == 2 ? "conv_transpose2d"
                                                 : "conv_transpose3d";

template <int N>
Tensor conv_n(const Tensor& x, const Tensor& w, const Tensor& bias, const Ints& stride,
              const Ints& padding, const Ints& dilation, int64_t groups) {
  return conv(N, kConvName<N>, x, w, bias, {stride, padding, dilation, groups}, false);
}
template <int N>
Tensor conv_named(const Tensor& x, const Tensor& w, const Tensor& bias, const Ints& stride,
                  const std::string& padding, const Ints& dilation, int64_t groups) {
  check(padding == "same" || padding == "valid", kConvName<N>, "(): Invalid padding string: '",
        padding, "', expected 'same' or 'valid'");
  return conv(N, kConvName<N>, x, w, bias, {stride, Ints{0}, dilation, groups}, padding == "same");
}
template <int N>
Tensor transposed_n(const Tensor& x, const Tensor& w, const Tensor& bias, const Ints& stride,
                    const Ints& padding, const Ints& extra, int64_t groups, const Ints& dilation) {
  return transposed(N, kTransposedName<N>, x, w, bias, {stride, padding, dilation, groups}, extra);
}

#define FLAMBEAU_CONV_ARGS(n)                                                      \
  "(Tensor input, Tensor weight, Tensor? bias=None, int[" #n "] stride=1, int[" #n \
  "] padding=0, int[" #n "] dilation=1, int groups=1) -> Tensor"
#define FLAMBEAU_CONV_NAMED_ARGS(n)                          \
  "(Tensor input, Tensor weight, Tensor? bias=None, int[" #n \
  "] stride=1, str padding=\"valid\", int[" #n "] dilation=1, int groups=1) -> Tensor"
#define FLAMBEAU_CONV_TRANSPOSE_ARGS(n)                                            \
  "(Tensor input, Tensor weight, Tensor? bias=None, int[" #n "] stride=1, int[" #n \
  "] padding=0, int[" #n "] output_padding=0, int groups=1, int[" #n "] dilation=1) -> Tensor"
#define FLAMBEAU_CONV(n)                                                                           \
  {.schema = "nn.functional.conv" #n "d" FLAMBEAU_CONV_ARGS(n),                                    \
   .forward = native<conv_n<n>>,                                                                   \
   .flags = kComposite | kNoMethod,                                                                \
   .doc =                                                                                          \
       "Convolution of [batch, channels, ...] with filters [filters, channels / groups, ...]"      \
       " over " #n " dimension(s)."},                                                              \
      {.schema = "nn.functional.conv" #n "d" FLAMBEAU_CONV_NAMED_ARGS(n),                          \
       .forward = native<conv_named<n>>,                                                           \
       .flags = kComposite | kNoMethod,                                                            \
       .doc = "Convolution with padding 'same' or 'valid'."},                                      \
      {.schema = "conv" #n "d" FLAMBEAU_CONV_ARGS(n),                                              \
       .flags = kNoMethod,                                                                         \
       .alias = "nn.functional.conv" #n "d"},                                                      \
      {.schema = "conv" #n "d" FLAMBEAU_CONV_NAMED_ARGS(n),                                        \
       .flags = kNoMethod,                                                                         \
       .alias = "nn.functional.conv" #n "d"},                                                      \
      {.schema = "nn.functional.conv_transpose" #n "d" FLAMBEAU_CONV_TRANSPOSE_ARGS(n),            \
       .forward = native<transposed_n<n>>,                                                         \
       .flags = kComposite | kNoMethod,                                                            \
       .doc = "The transpose of a convolution over " #n " dimension(s): what its gradient does."}, \
      {.schema = "conv_transpose" #n "d" FLAMBEAU_CONV_TRANSPOSE_ARGS(n),                          \
       .flags = kNoMethod,                                                                         \
       .alias = "nn.functional.conv_transpose" #n "d"}

FLAMBEAU_OPS{
    {.schema = "_conv_output(Tensor input, Tensor weight, Tensor? bias, int[] size, int[] stride, "
               "int[] padding, int[] dilation, int groups) -> Tensor",
     .forward = native<conv_output>,
     .backward = conv_output_back,
     .fuse = fuse_output,
     .saves = "input, weight",
     .flags = kInternal,
     .node = "ConvolutionBackward0",
     .doc = "The output of a convolution."},
    {.schema = "_conv_input(Tensor output, Tensor weight, Tensor? bias, int[] size, int[] stride, "
               "int[] padding, int[] dilation, int groups) -> Tensor",
     .forward = native<conv_input>,
     .backward = conv_input_back,
     .saves = "output, weight",
     .flags = kInternal,
     .node = "ConvolutionBackward0",
     .doc = "The input's gradient of a convolution: a transposed convolution."},
    {.schema = "_conv_weight(Tensor input, Tensor output, int[] size, int[] stride, int[] padding, "
               "int[] dilation, int groups) -> Tensor",
     .forward = native<conv_weight>,
     .backward = conv_weight_back,
     .saves = "input, output",
     .flags = kInternal,
     .node = "ConvolutionBackward0",
     .doc = "The weight's gradient of a convolution."},
    FLAMBEAU_CONV(1),
    FLAMBEAU_CONV(2),
    FLAMBEAU_CONV(3),
};

}  // namespace
}  // namespace flambeau

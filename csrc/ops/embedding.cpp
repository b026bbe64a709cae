// Rows of a table by number: embedding and bags of embeddings.
#include <algorithm>

#include "../sparse.h"
#include "index.h"

namespace flambeau {
namespace {

const OpCall call_embedding("embedding"), call_backward("embedding_dense_backward"),
    call_index_select("index_select"), call_index_add("index_add"), call_reshape("reshape"),
    call_mul("mul"), call_sum("sum"), call_unsqueeze("unsqueeze");

// -- embedding ------------------------------------------------------------------------------------
Tensor embedding(const Tensor& weight, const Tensor& indices, int64_t, bool, bool) {
  check(weight.dim() == 2, "embedding(): 'weight' must be 2-D, got ", weight.dim(), "-D");
  check(indices.dtype() == DType::int64 || indices.dtype() == DType::int32,
        "embedding(): Expected tensor "
        "for argument 'indices' to have one of the following scalar types: Long, Int; but got ",
        indices.dtype());
  Ints sizes = indices.sizes();
  sizes.push_back(weight.sizes()[1]);
  Tensor y = empty(sizes, weight.options());
  if (y.is_meta() || y.numel() == 0) return y;
  Tensor at = plain_index(indices, "embedding"), table = weight.contiguous_raw();
  RowsArgs a{};
  a.data = static_cast<char*>(table.data());
  a.other = static_cast<char*>(y.data());
  a.index = at.data<int64_t>();
  a.outer = 1;
  a.rows = weight.sizes()[0];
  a.count = at.numel();
  a.inner = weight.sizes()[1];
  a.dtype = weight.dtype();
  a.item = static_cast<int64_t>(itemsize(weight.dtype()));
  check_index(a.rows > 0, "embedding(): index out of range in self: the table is empty");
  int64_t bad = 0;
  a.bad = &bad;
  take_rows_kernel(y.device_type(), a);
  if (bad) check_bounds(at, 0, a.rows, "embedding");
  return y;
}

// Rows of the padding index take no gradient; with `by_freq` each row is divided by its count.
Tensor embedding_backward(const Tensor& grad, const Tensor& indices, int64_t rows, int64_t padding,
                          bool by_freq) {
  Tensor at = plain_index(indices, "embedding");
  int64_t width = grad.sizes().back();
  Tensor out = zeros(Ints{rows, width}, grad.options());
  if (out.is_meta() || grad.numel() == 0) return out;
  Tensor flat_at = at.as_strided_raw(Ints{at.numel()}, Ints{1}, at->offset);
  Tensor flat = reshape_raw(grad, Ints{at.numel(), width});
  put_rows(out, 0, flat_at, flat, Combine::add);
  if (padding >= 0) zero(select_raw(out, 0, padding));
  if (!by_freq) return out;
  std::vector<int64_t> counts(static_cast<size_t>(rows));
  for (int64_t i = 0; i < at.numel(); ++i) ++counts[static_cast<size_t>(at.data<int64_t>()[i])];
  Tensor scale = empty(Ints{rows, 1}, {DType::float32, grad.device()});
  for (int64_t r = 0; r < rows; ++r)
    scale.data<float>()[r] =
        1.0f / static_cast<float>(std::max<int64_t>(counts[static_cast<size_t>(r)], 1));
  return call_mul(out, scale.to_raw(grad.dtype()));
}

void embedding_back(Backward& b) {
  if (b.arg(4).as_bool()) {
    check(!b.arg(3).as_bool(), "embedding(): scale_grad_by_freq is not supported with sparse=True");
    Tensor rows = call_reshape(b.grad(), Ints{product(b.in(1).sizes()), b.sizes(0)[1]});
    // A copy: whoever holds the gradient may go on with its indices while the input changes.
    Tensor at = call_reshape(b.in(1), Ints{-1}).clone_raw();
    b.set(0, sparse_binding.from_rows(rows, at, b.sizes(0)[0], b.arg(2).as_int()));
    return;
  }
  b.set(0, call_backward(b.grad(), b.in(1), b.sizes(0)[0], b.arg(2), b.arg(3)));
}

void embedding_backward_back(Backward& b) {
  static const OpCall fill("index_fill");
  Tensor at = b.in(1), g = b.grad();
  int64_t padding = b.arg(3).as_int();
  check(!b.arg(4).as_bool(), "embedding(): there is no second gradient with scale_grad_by_freq");
  if (padding >= 0) {
    Tensor row = full(Ints{1}, padding, {DType::int64, g.device()});
    g = fill(g, 0, row, 0);
  }
  b.set(0, call_embedding(g, at));
}

int64_t padding_row(std::optional<int64_t> padding, int64_t rows, const char* op) {
  if (!padding) return -1;
  check(*padding >= -rows && *padding < rows, op,
        "(): padding_idx must be within the number of "
        "embeddings, got ",
        *padding, " for ", rows);
  return *padding < 0 ? *padding + rows : *padding;
}

// Rows that are used and longer than max_norm are shortened, in the table itself.
void renorm_rows(const Tensor& weight, const Tensor& indices, double max_norm, double norm_type) {
  static const OpCall unique("unique"), power("pow"), abs("abs"), clamp("clamp"), div("div");
  NoGrad off;
  if (weight.is_meta()) return;
  Tensor rows = unique(plain_index(indices, "embedding"));
  check_bounds(rows, 0, weight.sizes()[0], "embedding");
  Tensor used = call_index_select(weight, 0, rows);
  Tensor norm = power(call_sum(power(abs(used), norm_type), Ints{1}, true), 1.0 / norm_type);
  Tensor scale = clamp(div(full(Ints{}, max_norm, weight.options()), norm), Value(), 1.0);
  put_rows(weight, 0, rows, call_mul(used, scale), Combine::assign);
  weight.bump_version();
}

Tensor functional_embedding(const Tensor& input, const Tensor& weight,
                            std::optional<int64_t> padding, std::optional<double> max_norm,
                            double norm_type, bool by_freq, bool sparse) {
  int64_t row = padding_row(padding, weight.dim() ? weight.sizes()[0] : 0, "embedding");
  if (max_norm) renorm_rows(weight, input, *max_norm, norm_type);
  return call_embedding(weight, input, row, by_freq, sparse);
}

FLAMBEAU_OPS{
    {.schema = "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool "
               "scale_grad_by_freq=False, "
               "bool sparse=False) -> Tensor",
     .forward = native<embedding>,
     .backward = embedding_back,
     .saves = "indices",
     .flags = kNoMethod | kIndexed,
     .doc = "Rows of weight by number."},
    {.schema =
         "embedding_dense_backward(Tensor grad, Tensor indices, int num_weights, int padding_idx, "
         "bool scale_grad_by_freq) -> Tensor",
     .forward = native<embedding_backward>,
     .backward = embedding_backward_back,
     .saves = "indices",
     .flags = kInternal,
     .doc = "The gradient of embedding's weight."},
    {.schema = "nn.functional.embedding(Tensor input, Tensor weight, int? padding_idx=None, "
               "float? max_norm=None, float norm_type=2.0, bool scale_grad_by_freq=False, "
               "bool sparse=False) -> Tensor",
     .forward = native<functional_embedding>,
     .flags = kComposite | kNoMethod,
     .doc = "Rows of weight by number; the row padding_idx takes no gradient."},
};

// -- bags -----------------------------------------------------------------------------------------
struct Bags {
  Tensor index, offsets;  // contiguous int64; offsets has one more entry than there are bags
  int64_t count;
};

Bags make_bags(const Tensor& input, const Tensor& offsets, bool last) {
  Bags bags;
  bags.index = plain_index(input, "embedding_bag");
  if (input.dim() == 2) {
    check_value(!offsets.defined(),
                "embedding_bag(): if input is 2D, then offsets has to be None, as input "
                "is treated is a mini-batch of fixed length sequences");
    int64_t n = bags.count = input.sizes()[0], length = input.sizes()[1];
    bags.offsets = empty(Ints{n + 1}, bags.index.options());
    for (int64_t i = 0; i <= n && !input.is_meta(); ++i)
      bags.offsets.data<int64_t>()[i] = i * length;
    bags.index = bags.index.as_strided_raw(Ints{n * length}, Ints{1}, bags.index->offset);
    return bags;
  }
  check_value(input.dim() == 1,
              "embedding_bag(): input has to be 1D or 2D Tensor, but got Tensor of "
              "dimension ",
              input.dim());
  check_value(offsets.defined(), "embedding_bag(): offsets has to be a 1D Tensor but got None");
  check_value(offsets.dim() == 1, "embedding_bag(): offsets has to be a 1D Tensor");
  Tensor plain = plain_index(offsets, "embedding_bag");
  int64_t given = plain.numel();
  check(!last || given >= 1,
        "embedding_bag(): include_last_offset: number of offsets should be at least 1");
  bags.count = last ? given - 1 : given;
  bags.offsets = empty(Ints{bags.count + 1}, plain.options());
  if (input.is_meta()) return bags;
  auto* o = bags.offsets.data<int64_t>();
  std::copy_n(plain.data<int64_t>(), bags.count, o);
  o[bags.count] = last ? plain.data<int64_t>()[bags.count] : input.numel();
  check(bags.count == 0 || o[0] == 0,
        "embedding_bag(): offsets[0] has to be 0, i.e., the first sequence in "
        "the mini-batch has to start from position 0. However, got ",
        bags.count ? o[0] : 0);
  for (int64_t i = 0; i < bags.count; ++i)
    check(o[i] <= o[i + 1] && o[i + 1] <= input.numel(),
          "embedding_bag(): offsets must rise and not exceed "
          "the length of input (",
          input.numel(), "), got ", o[i], " then ", o[i + 1]);
  return bags;
}

BagArgs bag_args(const Tensor& index, const Tensor& offsets, int64_t padding, int64_t mode) {
  BagArgs a{};
  a.index = index.data<int64_t>();
  a.offsets = offsets.data<int64_t>();
  a.bags = offsets.numel() - 1;
  a.padding = padding;
  a.mode = static_cast<BagMode>(mode);
  return a;
}

std::tuple<Tensor, Tensor> bag_forward(const Tensor& weight, const Tensor& index,
                                       const Tensor& offsets, int64_t mode, const Tensor& scale,
                                       int64_t padding, bool, bool) {
  int64_t bags = offsets.numel() - 1, width = weight.sizes()[1];
  Tensor out = empty(Ints{bags, width}, weight.options());
  Tensor winners = empty(mode == 2 ? Ints{bags, width} : Ints{0}, index.options());
  if (out.is_meta()) return {out, winners};
  if (index.numel()) {
    int64_t least = 0, greatest = 0;
    bounds_kernel(index.device_type(), index.data<int64_t>(), index.numel(), &least, &greatest);
    check(least >= 0 && greatest < weight.sizes()[0],
          "embedding_bag(): Expected idx >= 0 && idx < num_embeddings: the input has ",
          least < 0 ? least : greatest, ", the valid range is [0, ", weight.sizes()[0], ")");
  }
  Tensor table = weight.contiguous_raw();
  Tensor factors = scale.defined() ? scale.contiguous_raw() : Tensor();
  BagArgs a = bag_args(index, offsets, padding, mode);
  a.weight = static_cast<const char*>(table.data());
  a.out = static_cast<char*>(out.data());
  a.scale = factors.defined() ? static_cast<const char*>(factors.data()) : nullptr;
  a.argmax = mode == 2 ? winners.data<int64_t>() : nullptr;
  a.width = width;
  a.rows = weight.sizes()[0];
  a.dtype = weight.dtype();
  bag_kernel(weight.device_type(), a);
  return {out, winners};
}

// The bag of each index, and the indices that count.
std::pair<Tensor, Tensor> bag_members(const Tensor& index, const Tensor& offsets, int64_t padding) {
  std::vector<int64_t> bag, position;
  const auto *o = offsets.data<int64_t>(), *at = index.data<int64_t>();
  for (int64_t i = 0; i + 1 < offsets.numel(); ++i)
    for (int64_t k = o[i]; k < o[i + 1]; ++k)
      if (at[k] != padding) {
        bag.push_back(i);
        position.push_back(k);
      }
  auto n = static_cast<int64_t>(bag.size());
  Tensor a = empty(Ints{n}, index.options()), c = empty(Ints{n}, index.options());
  std::copy(bag.begin(), bag.end(), a.data<int64_t>());
  std::copy(position.begin(), position.end(), c.data<int64_t>());
  return {a, c};
}

// 1 / the number of members of each bag.
Tensor bag_shares(const Tensor& bag, int64_t bags, const Options& o) {
  Tensor share = zeros(Ints{bags, 1}, {DType::float64, o.device});
  auto* p = share.data<double>();
  for (int64_t i = 0; i < bag.numel(); ++i) p[bag.data<int64_t>()[i]] += 1;
  for (int64_t i = 0; i < bags; ++i) p[i] = p[i] ? 1 / p[i] : 0;
  return share.to_raw(o.dtype);
}

void bag_back(Backward& b) {
  Tensor index = b.in(1), offsets = b.in(2), g = b.grad();
  int64_t mode = b.arg(3).as_int(), rows = b.sizes(0)[0], width = b.sizes(0)[1];
  if (mode == 2) {  // each column's gradient goes to the row that won
    static const OpCall scatter_add("scatter_add"), zero_where("masked_fill"), lower("lt"),
        clamp("clamp");
    Tensor winners = b.out(1), none = lower(winners, 0);
    b.set(0, scatter_add(zeros(Ints{rows, width}, g.options()), 0, clamp(winners, 0),
                         zero_where(g, none, 0)));
    return;
  }
  if (g.is_meta()) {
    if (b.needs(0)) b.set(0, zeros(b.sizes(0), g.options()));
    if (b.needs(4)) b.set(4, zeros(b.sizes(4), g.options()));
    return;
  }
  auto [bag, position] = bag_members(index, offsets, b.arg(5).as_int());
  if (mode == 1) g = call_mul(g, bag_shares(bag, offsets.numel() - 1, g.options()));
  Tensor at = call_index_select(index, 0, position), part = call_index_select(g, 0, bag);
  if (b.needs(4)) {
    Tensor dots = call_sum(call_mul(part, call_index_select(b.in(0), 0, at)), Ints{1});
    b.set(4, call_index_add(zeros(b.sizes(4), g.options()), 0, position, dots));
  }
  if (!b.needs(0)) return;
  if (b.has(4)) part = call_mul(part, call_unsqueeze(call_index_select(b.in(4), 0, position), 1));
  if (b.arg(6).as_bool())
    part = call_mul(part, call_index_select(bag_shares(at, rows, g.options()), 0, at));
  if (b.arg(7).as_bool())
    b.set(0, sparse_binding.from_rows(part, at, rows, -1));
  else
    b.set(0, call_index_add(zeros(Ints{rows, width}, g.options()), 0, at, part));
}

Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets,
                     std::optional<double> max_norm, double norm_type, bool by_freq,
                     const std::string& mode, bool sparse, const Tensor& scale, bool last,
                     std::optional<int64_t> padding) {
  check(weight.dim() == 2, "embedding_bag(): 'weight' must be 2-D, got ", weight.dim(), "-D");
  check(is_floating(weight.dtype()), "embedding_bag(): not implemented for ", weight.dtype());
  int64_t kind = mode == "sum" ? 0 : mode == "mean" ? 1 : 2;
  check_value(kind != 2 || mode == "max",
              "embedding_bag(): mode has to be one of sum, mean or max, got ", mode);
  check_value(!scale.defined() || scale.sizes() == input.sizes(),
              "embedding_bag(): expected per_sample_weights "
              "to have the same shape as input (",
              input.sizes(), "), got ", scale.defined() ? scale.sizes() : Ints{});
  check(!scale.defined() || scale.dtype() == weight.dtype(),
        "embedding_bag(): expected weight to have the same type as per_sample_weights, got ",
        weight.dtype(), " and ", scale.defined() ? scale.dtype() : weight.dtype());
  if (scale.defined() && kind != 0)
    fail(ErrorKind::not_implemented,
         "embedding_bag(): per_sample_weights was not None. per_sample_weights is "
         "only supported for mode='sum' (got mode='",
         mode, "')");
  int64_t row = padding_row(padding, weight.sizes()[0], "embedding_bag");
  if (max_norm) renorm_rows(weight, input, *max_norm, norm_type);
  Bags bags = make_bags(input, offsets, last);
  static const OpCall forward("embedding_bag_forward");
  Value factors = scale.defined() ? Value(call_reshape(scale, Ints{-1})) : Value();
  check(kind != 2 || !by_freq,
        "embedding_bag(): scale_grad_by_freq is not supported with mode='max'");
  check(!(sparse && kind == 2), "embedding_bag(): max mode does not support sparse weights");
  return forward(weight, bags.index, bags.offsets, kind, factors, row, by_freq, sparse);
}

FLAMBEAU_OPS{
    {.schema = "embedding_bag_forward(Tensor weight, Tensor index, Tensor offsets, int mode, "
               "Tensor? per_sample_weights, int padding_idx, bool scale_grad_by_freq, "
               "bool sparse) -> "
               "(Tensor out, Tensor winners)",
     .forward = native<bag_forward>,
     .backward = bag_back,
     .saves = "weight, index, offsets, per_sample_weights, result1",
     .flags = kInternal,
     .node = "EmbeddingBagBackward0",
     .doc = "Sums, means or maxima of rows of weight, bag by bag."},
    {.schema = "nn.functional.embedding_bag(Tensor input, Tensor weight, Tensor? offsets=None, "
               "float? max_norm=None, float norm_type=2, bool scale_grad_by_freq=False, "
               "str mode=\"mean\", bool sparse=False, Tensor? per_sample_weights=None, "
               "bool include_last_offset=False, int? padding_idx=None) -> Tensor",
     .forward = native<embedding_bag>,
     .flags = kComposite | kNoMethod,
     .doc = "Sums, means or maxima of rows of weight, bag by bag."},
};

}  // namespace
}  // namespace flambeau

// The lists of operators that autocast casts for, and the casts.
#include "autocast.h"

#include <sstream>
#include <string_view>
#include <unordered_map>

namespace flambeau {

constinit thread_local Autocast thread_autocast;

namespace {

// As PyTorch documents its lists for the CPU.
constexpr const char* kLower =
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc bmm mm "
    "baddbmm addmm addbmm linear matmul linalg.matmul linalg.vecdot prelu "
    "scaled_dot_product_attention";
constexpr const char* kFloat32 =
    "avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d max_pool3d max_unpool1d max_unpool2d "
    "max_unpool3d fractional_max_pool2d fractional_max_pool3d grid_sample polar prod quantile "
    "nanquantile stft cdist trace view_as_complex cholesky cholesky_inverse cholesky_solve inverse "
    "lu_solve orgqr ormqr pinverse geqrf lstsq qr svd triangular_solve binary_cross_entropy "
    "binary_cross_entropy_with_logits mse_loss cosine_embedding_loss nll_loss hinge_embedding_loss "
    "bilinear lu poisson_nll_loss smooth_l1_loss cross_entropy l1_loss huber_loss "
    "margin_ranking_loss "
    "soft_margin_loss triplet_margin_loss multi_margin_loss multilabel_margin_loss ctc_loss kl_div "
    "linalg.cond linalg.matrix_rank linalg.solve linalg.cholesky linalg.svdvals linalg.eigvals "
    "linalg.eigvalsh linalg.inv linalg.householder_product linalg.tensorinv linalg.tensorsolve "
    "linalg.qr linalg.cholesky_ex linalg.svd linalg.eig linalg.eigh linalg.lstsq linalg.inv_ex "
    "fft.fft fft.ifft fft.fft2 fft.ifft2 fft.fftn fft.ifftn fft.rfft fft.irfft fft.rfft2 "
    "fft.irfft2 fft.rfftn fft.irfftn fft.hfft fft.ihfft";
constexpr const char* kWidest = "cat stack index_copy";

struct Kept {
  Tensor source, cast;
};
using Cache = std::unordered_map<TensorImpl*, Kept>;
Cache& cache() {
  static thread_local Cache kept;
  return kept;
}

const AutocastRule* rule_of(const Op& op) {
  static const auto* rules = [] {
    auto* map = new std::unordered_map<std::string_view, const AutocastRule*>;
    for (const AutocastRule& rule : autocast_rules()) (*map)[rule.name] = &rule;
    return map;
  }();
  constexpr std::string_view prefix = "nn.functional.";
  std::string_view name = op.schema.name;
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  auto found = rules->find(name);
  return found == rules->end() ? nullptr : found->second;
}

// Tensors of float64 stay as they are: their precision was asked for.
bool eligible(const Tensor& t) {
  return t.defined() && is_floating(t.dtype()) && t.dtype() != DType::float64 &&
         thread_autocast.enabled[static_cast<int>(t.device_type())];
}

Tensor cast(const Tensor& t, DType to) {
  if (t.dtype() == to) return t;
  static const OpCall convert("to");
  const bool weight = thread_autocast.keeps && t.dtype() == DType::float32 &&
                      to != DType::float32 && t.requires_grad() && !grad_fn(t) && modes().grad;
  if (!weight) return convert(t, to);
  Kept& kept = cache()[t.impl()];
  if (!kept.cast.defined()) kept = {t, convert(t, to)};
  return kept.cast;
}

template <class F>
void each_tensor(const Op& op, Value* args, const F& visit) {
  for (int i = 0; i < op.nargs(); ++i) {
    if (args[i].tag() == Value::tensor) {
      Tensor t = args[i].as_tensor();
      if (eligible(t)) args[i] = Value(visit(t));
    } else if (args[i].tag() == Value::tensors) {
      for (Tensor& t : args[i].as_tensors())
        if (eligible(t)) t = visit(t);
    }
  }
}

// linear, conv1d, conv2d and conv3d keep weights packed from float32 while no gradient is wanted.
bool later(const Op& op, const Value* args) {
  std::string_view name = op.schema.name;
  if (!name.ends_with("linear") && !name.ends_with("conv1d") && !name.ends_with("conv2d") &&
      !name.ends_with("conv3d"))
    return false;
  if (modes().transforms || modes().dispatch || args[1].tag() != Value::tensor) return false;
  const Tensor &x = args[0].as_tensor(), &w = args[1].as_tensor();
  if (!eligible(x) || !eligible(w) || w.dtype() != DType::float32 || x.is_meta()) return false;
  for (int i = 0; i < 3 && modes().grad; ++i)
    if (args[i].tag() == Value::tensor && args[i].as_tensor().requires_grad()) return false;
  return thread_autocast.dtype[static_cast<int>(x.device_type())] == DType::bfloat16;
}

}  // namespace

const std::vector<AutocastRule>& autocast_rules() {
  static const auto* rules = [] {
    auto* all = new std::vector<AutocastRule>;
    for (auto [names, to] : {std::pair{kLower, CastTo::lower},
                             {kFloat32, CastTo::float32},
                             {kWidest, CastTo::widest}}) {
      std::istringstream words(names);
      for (std::string word; words >> word;) all->push_back({(new std::string(word))->c_str(), to});
    }
    return all;
  }();
  return *rules;
}

void autocast_args(const Op& op, Value* args) {
  const AutocastRule* rule = rule_of(op);
  if (!rule) return;
  if (rule->to == CastTo::float32)
    return each_tensor(op, args, [](const Tensor& t) { return cast(t, DType::float32); });
  const auto lower = [](const Tensor& t) {
    return thread_autocast.dtype[static_cast<int>(t.device_type())];
  };
  if (rule->to == CastTo::lower && later(op, args)) {
    Value weight = std::move(args[1]);
    args[1] = Value();
    each_tensor(op, args, [&](const Tensor& t) { return cast(t, lower(t)); });
    args[1] = std::move(weight);
    return;
  }
  if (rule->to == CastTo::lower)
    return each_tensor(op, args, [&](const Tensor& t) { return cast(t, lower(t)); });
  bool wide = false;  // one is float32, or of the other half-precision type
  each_tensor(op, args, [&](const Tensor& t) {
    wide = wide || t.dtype() != lower(t);
    return t;
  });
  if (wide) each_tensor(op, args, [](const Tensor& t) { return cast(t, DType::float32); });
}

void clear_autocast_cache() { cache().clear(); }

}  // namespace flambeau

// Notes what follows a product, and runs it as one.
#include "fused.h"

#include <pthread.h>

#include <algorithm>
#include <mutex>

#include "parallel.h"

namespace flambeau {
namespace {

constexpr int64_t kLeast = 2048;  // numbers of a result for which this pays
constexpr int kMostSteps = 6;

struct Link {
  Tensor out;  // an alias
  FinishStep step;
  TensorList reads;  // aliases
};

// What is still to be computed: links[0] is the product.
struct Chain {
  Ref<Storage> weight;
  ProductFn product;
  bool rows;
  std::vector<Link> links;
};
Chain chain;

// Held while the chain is being computed, when other threads of the program may run.
alignas(std::mutex) char mutex_memory[sizeof(std::mutex)];
std::mutex& computing = *new (mutex_memory) std::mutex;
const int fork_handler = pthread_atfork(nullptr, nullptr, [] { new (mutex_memory) std::mutex; });

bool plain(const Tensor& t) {
  if (t.device_type() != DeviceType::cpu || !t->storage->data || !t->storage->stands_still())
    return false;
  const bool known = t.dtype() == DType::float32 || t.dtype() == DType::bfloat16;
  return t->layout == Layout::strided && known;
}

TensorList aliases(const TensorList& list) {
  TensorList out;
  for (const Tensor& t : list) out.push_back(t.defined() ? t.alias() : t);
  return out;
}

bool all_plain(const TensorList& list) {
  for (const Tensor& t : list)
    if (t.defined() && !plain(t)) return false;
  return true;
}

// Does anybody but the chain see what link i leaves, before a later link overwrites it?
bool is_seen(size_t i) {
  const Storage* s = chain.links[i].out->storage.get();
  uint32_t ours = 0;
  for (const Link& l : chain.links) ours += l.out->storage.get() == s;
  const bool overwritten = i + 1 < chain.links.size() && chain.links[i + 1].out->storage.get() == s;
  return !overwritten && s->refs > ours;
}

// Links [from, to] as one: the product first, or a pass over what the link before left.
void compute(size_t from, size_t to) {
  const Tensor& out = chain.links[to].out;
  Storage& memory = *out->storage;
  const bool fresh = !memory.data;
  if (fresh) memory.back();
  FinishStep steps[kMostSteps + 1];
  int count = 0;
  for (size_t i = from ? from : 1; i <= to; ++i) steps[count++] = chain.links[i].step;
  const Finish finish{steps, count, out.data()};
  try {
    if (from == 0) {
      chain.product(chain.links[0].reads, out, count ? &finish : nullptr);
    } else {
      const int64_t channels = out.dim() > 1 ? out.sizes()[1] : 1;
      const int64_t rows = out.dim() > 1 ? out.sizes()[0] * channels : 1;
      finish_kernel(DeviceType::cpu,
                    {finish, chain.links[from - 1].out.data(), rows, out.numel() / rows, channels,
                     out.dtype() == DType::bfloat16});
    }
  } catch (...) {
    if (fresh) memory.unback();
    throw;
  }
}

}  // namespace

void settle_fused() {
  std::unique_lock lock(computing, std::try_to_lock);
  if (!lock) {  // another thread is at it
    void* gil = gil_hooks.release ? gil_hooks.release() : nullptr;
    lock.lock();
    if (gil_hooks.acquire) gil_hooks.acquire(gil);
  }
  if (!fused_open) return;
  fused_operand = nullptr;
  const size_t last = chain.links.size() - 1;
  for (size_t from = 0; from <= last;) {
    size_t to = from;
    while (to < last && !is_seen(to)) ++to;
    compute(from, to);
    from = to + 1;
  }
  fused_open = false;
  chain.weight->followers = static_cast<uint8_t>(last);
  fused_seen = {chain.weight.get(), chain.links[last].out->storage.get()};
  chain = {};
}

void release_fused() noexcept {
  if (is_seen(chain.links.size() - 2)) return;
  try {
    settle_fused();
  } catch (...) {  // out of memory: the next look at the result tries again, and tells
  }
}

bool begin_fused(const Op& op, Value* args, Value* results, const TensorList& reads,
                 const Ints& sizes, bool rows, ProductFn product) {
  if (fused_open) settle_fused();
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  if (n < kLeast || !all_plain(reads)) return false;
  const Ref<Storage>& weight = reads[1]->storage;
  if (weight->followers == 0) {
    op.forward(args, results);
    fused_seen = {weight.get(), results[0].as_tensor()->storage.get()};
    return true;
  }
  Tensor out = empty_later(sizes, reads[0].dtype());
  chain.weight = weight;
  chain.product = std::move(product);
  chain.rows = rows;
  chain.links.push_back({out.alias(), FinishStep{}, aliases(reads)});
  results[0] = Value(std::move(out));
  fused_open = true;
  return true;
}

bool extend_fused(const Tensor& x, const FinishStep& step, const TensorList& reads,
                  Value* results) {
  if (!fused_open) {
    if (x->storage.get() != fused_seen.result || !all_plain(reads)) return false;
    uint8_t& followers = fused_seen.weight->followers;
    followers = std::min<uint8_t>(followers + 1, kMostSteps);
    fused_seen = {};
    return false;
  }
  std::unique_lock lock(computing, std::try_to_lock);
  if (!lock || chain.links.size() > kMostSteps) return false;
  const Tensor& last = chain.links.back().out;
  const bool fits = x->storage.get() == last->storage.get() && x.sizes() == last.sizes() &&
                    x.is_contiguous() && x.dtype() == last.dtype() && all_plain(reads) &&
                    (chain.rows || step.kind != FinishStep::norm);
  if (!fits) return false;
  if (!results[0].is_tensor()) results[0] = Value(empty_later(x.sizes(), x.dtype()));
  chain.links.push_back({results[0].as_tensor().alias(), step, aliases(reads)});
  lock.unlock();
  fused_operand = nullptr;
  if (chain.links.size() > chain.weight->followers) {
    if (is_seen(chain.links.size() - 2))
      fused_operand = x->storage.get();
    else
      settle_fused();
  }
  return true;
}

}  // namespace flambeau

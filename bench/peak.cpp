// What the machine can do: GFLOP/s of float32 multiply-adds in registers, and GB/s of reading and of
// copying memory, each the best of five runs on as many threads as the argument says.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace {

typedef float Reg __attribute__((vector_size(64)));
volatile float sink;

double best_seconds(int threads, const std::function<void(int)>& work) {
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (std::thread& t : others) t.join();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count());
  }
  return best;
}

constexpr int kChains = 12;
constexpr long kSteps = 20'000'000;

void arithmetic(int) {
  Reg a[kChains], x = Reg{} + 0.999f, y = Reg{} + 1e-3f;
  for (Reg& r : a) r = y;
  __asm__("" : "+v"(x), "+v"(y));
  for (long i = 0; i < kSteps; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) a[k] = a[k] * x + y;
  for (const Reg& r : a) sink = r[0];
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const double flops = 2.0 * 16 * kChains * kSteps * threads;
  const double gflops = flops / best_seconds(threads, arithmetic) / 1e9;

  const size_t each = (size_t(256) << 20) / sizeof(Reg);
  std::vector<Reg> from(each * size_t(threads), Reg{}), to(from.size());
  const double bytes = double(from.size()) * sizeof(Reg);
  const double read = bytes / best_seconds(threads, [&](int t) {
    Reg sum[8] = {};
    const Reg* p = from.data() + each * size_t(t);
    for (size_t i = 0; i < each; i += 8)
      for (int k = 0; k < 8; ++k) sum[k] += p[i + size_t(k)];
    for (const Reg& r : sum) sink = r[0];
  });
  const double copied = 2 * bytes / best_seconds(threads, [&](int t) {
    const size_t first = each * size_t(t);
    std::copy_n(from.data() + first, each, to.data() + first);
  });
  std::printf("%.1f %.1f %.1f\n", gflops, read / 1e9, copied / 1e9);
}

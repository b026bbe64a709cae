// The thread pool. Work is split by size alone, so results do not depend on the number of threads.
#pragma once
#include <cstdint>

namespace flambeau {

int num_threads();
void set_num_threads(int n);
// FLAMBEAU_NUM_THREADS, OMP_NUM_THREADS, or what the machine grants this process: the smallest of
// its cores, the processors that it may run on and its control group's quota.
int default_threads();

using TaskFn = void (*)(const void* ctx, int64_t begin, int64_t end);

// Calls fn(ctx, b, e) for consecutive ranges [b, e) of `grain` items that cover [begin, end). The
// ranges are the same on any number of threads; which thread runs which is not. Nested calls and
// calls from a second thread while the pool is busy run in the caller.
void parallel_run(int64_t begin, int64_t end, int64_t grain, const void* ctx, TaskFn fn);

template <class F>
inline void parallel_for(int64_t begin, int64_t end, int64_t grain, const F& f) {
  parallel_run(begin, end, grain, &f,
               [](const void* ctx, int64_t b, int64_t e) { (*static_cast<const F*>(ctx))(b, e); });
}

// Set by the binding: released while a task is long enough to be split, taken again after.
struct GilHooks {
  void* (*release)() = nullptr;
  void (*acquire)(void*) = nullptr;
};
extern GilHooks gil_hooks;

}  // namespace flambeau

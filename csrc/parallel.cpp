// The thread pool: workers start with the first task that is split, claim ranges by atomic
// counters, spin for a few microseconds between tasks and then sleep.
#include "parallel.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "common.h"

namespace flambeau {

GilHooks gil_hooks;

namespace {

constexpr int kMaxThreads = 1024;
constexpr int64_t kClaimsPerThread = 32;
// Waking a sleeping thread costs about as much as this, on both sides.
constexpr auto kSpin = std::chrono::microseconds(40);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

// Rounding and denormals: a task runs under its caller's mode on every thread.
uint32_t float_mode() {
#if defined(__x86_64__)
  return __builtin_ia32_stmxcsr() & ~0x3fu;  // without the sticky flags
#elif defined(__aarch64__)
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return uint32_t(mode);
#endif
}

void set_float_mode(uint32_t mode) {
  if (mode == float_mode()) return;
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(mode);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(uint64_t(mode)));
#endif
}

// Returns when `word` is no longer `old`: at once, after a spin, or after a sleep.
uint32_t wait_change(const std::atomic<uint32_t>& word, uint32_t old) {
  const auto until = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      const uint32_t now = word.load(std::memory_order_acquire);
      if (now != old) return now;
      pause();
    }
    sched_yield();  // another thread may be waiting for this processor
  } while (std::chrono::steady_clock::now() < until);
  word.wait(old, std::memory_order_acquire);
  return word.load(std::memory_order_acquire);
}

struct alignas(64) Worker {
  std::atomic<uint32_t> signal{0};  // number of the task to join
  int index = 0;                    // of its share
};

// A thread's share of a task's parts. It takes them first, so that the next task over the same
// memory finds it in the same caches; then it helps the others. The task's number and the parts
// not yet claimed are in one word: who finds its number there may claim, and who has claimed may
// read what describes the task, for the task waits for him.
struct alignas(64) Share {
  std::atomic<uint64_t> ticket{0};
  int64_t end = 0;  // one past the share's last part
};
constinit Share shares[kMaxThreads];

class Pool {
 public:
  // Returns what the task threw, if anything.
  std::exception_ptr run(int64_t begin, int64_t end, int64_t grain, const void* ctx, TaskFn fn);
  std::atomic<int> size{0};  // threads to use, the caller included; 0: not yet known
  std::atomic<bool> busy{false};

 private:
  void work(Worker& worker);
  uint32_t help(uint32_t task, int own);
  int ensure_workers(int n);

  alignas(64) std::atomic<uint32_t> done_{0};
  std::atomic<int> shares_{0};
  alignas(64) std::atomic<bool> failed_{false};
  std::exception_ptr error_;
  int64_t begin_, end_, grain_, ranges_, claims_;
  uint32_t float_mode_;
  const void* ctx_;
  TaskFn fn_;
  uint32_t task_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// Never destroyed: at exit workers may still be looking at it. A fork leaves the child without
// workers, so it starts a new pool and forgets the old one.
alignas(Pool) char storage[sizeof(Pool)];
Pool& pool = *new (storage) Pool;
thread_local bool in_task = false;

void after_fork() {
  const int size = pool.size;
  new (storage) Pool;
  pool.size = size;
  in_task = false;
}
const int fork_handler = pthread_atfork(nullptr, nullptr, after_fork);

// Takes one part of `task` from a share, if it is still the current one and any is left.
bool claim(Share& share, uint32_t task, int64_t& part) {
  uint64_t seen = share.ticket.load(std::memory_order_acquire);
  do {
    if (uint32_t(seen >> 32) != task || uint32_t(seen) == 0) return false;
  } while (!share.ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                               std::memory_order_acquire));
  part = share.end - int64_t(uint32_t(seen));
  return true;
}

// Runs parts of the task, one's own first, until none is left; returns how many.
uint32_t Pool::help(uint32_t task, int own) {
  uint32_t parts = 0;
  const int count = shares_.load(std::memory_order_acquire);
  for (int i = 0; i < count; ++i) {
    Share& share = shares[(own + i) % count];
    for (int64_t part; claim(share, task, part); ++parts) {
      set_float_mode(float_mode_);
      const int64_t first = part * ranges_ / claims_, last = (part + 1) * ranges_ / claims_;
      try {
        for (int64_t r = first; r < last && !failed_.load(std::memory_order_relaxed); ++r) {
          const int64_t b = begin_ + r * grain_;
          fn_(ctx_, b, end_ - b < grain_ ? end_ : b + grain_);
        }
      } catch (...) {
        if (!failed_.exchange(true)) error_ = std::current_exception();
      }
    }
  }
  return parts;
}

void Pool::work(Worker& worker) {
  in_task = true;
  for (uint32_t task = 0;;) {
    task = wait_change(worker.signal, task);
    const uint32_t parts = help(task, worker.index);
    if (parts == 0) continue;
    done_.fetch_add(parts);
    done_.notify_one();
  }
}

// Starts workers up to n, as far as the system lets; returns how many there are, at most n.
int Pool::ensure_workers(int n) {
  if (int(workers_.size()) >= n) return n;
  sigset_t all, old;
  sigfillset(&all);  // signals go to the threads of the program
  pthread_sigmask(SIG_SETMASK, &all, &old);
  try {
    while (int(workers_.size()) < n) {
      auto worker = std::make_unique<Worker>();
      worker->index = int(workers_.size()) + 1;
      std::thread([this, w = worker.get()] { work(*w); }).detach();
      workers_.push_back(std::move(worker));
    }
  } catch (const std::system_error&) {
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return int(workers_.size());
}

std::exception_ptr Pool::run(int64_t begin, int64_t end, int64_t grain, const void* ctx,
                             TaskFn fn) {
  const int threads = size;
  begin_ = begin, end_ = end, grain_ = grain, ctx_ = ctx, fn_ = fn;
  ranges_ = (end - begin - 1) / grain + 1;
  claims_ = std::min<int64_t>(ranges_, threads * kClaimsPerThread);
  float_mode_ = float_mode();
  failed_.store(false, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const int helpers = ensure_workers(int(std::min<int64_t>(threads, claims_)) - 1);
  const uint32_t task = ++task_;
  for (int64_t i = 0, first = 0; i <= helpers; ++i) {
    const int64_t last = claims_ * (i + 1) / (helpers + 1);
    shares[i].end = last;
    shares[i].ticket.store(uint64_t(task) << 32 | uint64_t(last - first),
                           std::memory_order_release);
    first = last;
  }
  shares_.store(helpers + 1, std::memory_order_release);
  for (int i = 0; i < helpers; ++i) {
    workers_[i]->signal.store(task);
    workers_[i]->signal.notify_one();
  }
  const uint32_t others = uint32_t(claims_) - help(task, 0);
  for (uint32_t done = done_.load(std::memory_order_acquire); done != others;)
    done = wait_change(done_, done);
  return std::exchange(error_, nullptr);
}

std::exception_ptr run_here(int64_t begin, int64_t end, int64_t grain, const void* ctx, TaskFn fn) {
  try {
    for (int64_t b = begin; b < end; b += grain) fn(ctx, b, end - b < grain ? end : b + grain);
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

}  // namespace

int num_threads() {
  if (pool.size == 0) pool.size = std::clamp(default_threads(), 1, kMaxThreads);
  return pool.size;
}

void set_num_threads(int n) {
  check(n > 0, "set_num_threads(): expected a positive number, got ", n);
  pool.size = std::min(n, kMaxThreads);
}

void parallel_run(int64_t begin, int64_t end, int64_t grain, const void* ctx, TaskFn fn) {
  if (begin >= end) return;
  grain = std::max<int64_t>(grain, 1);
  if (end - begin <= grain) return fn(ctx, begin, end);
  std::exception_ptr error;
  if (in_task) {
    error = run_here(begin, end, grain, ctx, fn);
  } else {
    const bool many = num_threads() > 1;
    in_task = true;
    void* gil = gil_hooks.release ? gil_hooks.release() : nullptr;
    if (many && !pool.busy.exchange(true)) {
      error = pool.run(begin, end, grain, ctx, fn);
      pool.busy = false;
    } else {
      error = run_here(begin, end, grain, ctx, fn);
    }
    in_task = false;
    if (gil_hooks.acquire) gil_hooks.acquire(gil);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace flambeau

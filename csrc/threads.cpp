// How many threads this process should use: the environment, the cores, the control group's quota.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "common.h"
#include "parallel.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace flambeau {
namespace {

// The number that text starts with ("4,2" means 4 threads at the outermost level), 0 if none.
int positive(const char* text) {
  const long n = text ? std::strtol(text, nullptr, 10) : 0;
  return n > 0 && n < 1 << 20 ? int(n) : 0;
}

#if defined(__linux__)

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Processors that share a core count once: the matrix units are per core.
int cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return int(std::thread::hardware_concurrency());
  int count = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    const std::string siblings = first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                                            "/topology/thread_siblings_list");
    const int first = siblings.empty() ? cpu : std::atoi(siblings.c_str());
    if (first == cpu || first >= CPU_SETSIZE || !CPU_ISSET(first, &set)) ++count;
  }
  return count;
}

double quota_of(const std::string& folder, bool v2) {
  double quota = 0, period = 0;
  if (v2) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;  // "max 100000" reads as none
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

// The least quota of the group and of those around it, as far up as this process sees them.
double quota_from(const std::string& mount, std::string group, bool v2) {
  double least = quota_of(mount, v2);
  while (group.size() > 1) {
    least = std::min(least, quota_of(mount + group, v2));
    group.resize(group.rfind('/'));
  }
  return least;
}

// Lines of /proc/self/cgroup are "0::/path" (v2) and "1:cpu,cpuacct:/path" (v1).
double quota() {
  std::ifstream file("/proc/self/cgroup");
  double least = INFINITY;
  for (std::string line; std::getline(file, line);) {
    const size_t a = line.find(':'), b = line.find(':', a + 1);
    if (a == std::string::npos || b == std::string::npos) continue;
    const std::string kinds = "," + line.substr(a + 1, b - a - 1) + ",", group = line.substr(b + 1);
    if (kinds == ",,")
      least = std::min(least, quota_from("/sys/fs/cgroup", group, true));
    else if (kinds.find(",cpu,") != std::string::npos)
      least = std::min(least, quota_from("/sys/fs/cgroup/cpu", group, false));
  }
  return least;
}

#else

int cores() { return int(std::thread::hardware_concurrency()); }
double quota() { return INFINITY; }

#endif

}  // namespace

int default_threads() {
  if (const char* own = std::getenv("FLAMBEAU_NUM_THREADS"); own && *own) {
    check(positive(own) > 0, "FLAMBEAU_NUM_THREADS: expected a positive number, got '", own, "'");
    return positive(own);
  }
  if (const int omp = positive(std::getenv("OMP_NUM_THREADS"))) return omp;
  // A part of a processor is worth a thread.
  return std::max(1, int(std::min<double>(cores(), std::ceil(quota()))));
}

}  // namespace flambeau

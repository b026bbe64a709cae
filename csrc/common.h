// Errors, small integer lists and reference counts: what every core file needs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <span>
#include <sstream>
#include <string>
#include <utility>

namespace flambeau {

// The Python exception that the binding raises.
enum class ErrorKind : uint8_t {
  runtime,
  value,
  type,
  index,
  not_implemented,
  out_of_memory,
  attribute,
  linalg
};

struct Error : std::exception {
  ErrorKind kind;
  std::string message;
  Error(ErrorKind k, std::string m) : kind(k), message(std::move(m)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

using IntSpan = std::span<const int64_t>;

std::ostream& operator<<(std::ostream& os, IntSpan v);  // [2, 3]

template <class... A>
[[gnu::cold]] std::string cat(const A&... a) {
  std::ostringstream os;
  (os << ... << a);
  return os.str();
}

template <class... A>
[[noreturn, gnu::cold, gnu::noinline]] void fail(ErrorKind kind, const A&... a) {
  throw Error(kind, cat(a...));
}

// check(ok, "mm(): want 2-D, got ", n, "-D"): the message is put together only on failure.
template <class... A>
inline void check(bool ok, const A&... a) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::runtime, a...);
}
template <class... A>
inline void check_value(bool ok, const A&... a) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::value, a...);
}
template <class... A>
inline void check_type(bool ok, const A&... a) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::type, a...);
}
template <class... A>
inline void check_index(bool ok, const A&... a) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::index, a...);
}

// A list of integers, up to five of them in place: sizes, strides, dims.
class Ints {
 public:
  using value_type = int64_t;
  Ints() : n_(0), cap_(kInline) {}
  Ints(std::initializer_list<int64_t> v) : Ints() { assign(v.begin(), v.size()); }
  Ints(IntSpan v) : Ints() { assign(v.data(), v.size()); }  // NOLINT: a view of the same thing
  explicit Ints(size_t n, int64_t fill = 0) : Ints() { resize(n, fill); }
  Ints(const Ints& o) : Ints() { assign(o.data(), o.n_); }
  Ints(Ints&& o) noexcept { steal(o); }
  Ints& operator=(const Ints& o) {
    if (this != &o) assign(o.data(), o.n_);
    return *this;
  }
  Ints& operator=(Ints&& o) noexcept {
    if (this != &o) {
      release();
      steal(o);
    }
    return *this;
  }
  ~Ints() { release(); }

  size_t size() const { return n_; }
  bool empty() const { return n_ == 0; }
  int64_t* data() { return cap_ == kInline ? in_ : heap_; }
  const int64_t* data() const { return cap_ == kInline ? in_ : heap_; }
  int64_t* begin() { return data(); }
  int64_t* end() { return data() + n_; }
  const int64_t* begin() const { return data(); }
  const int64_t* end() const { return data() + n_; }
  int64_t& operator[](size_t i) { return data()[i]; }
  int64_t operator[](size_t i) const { return data()[i]; }
  int64_t& back() { return data()[n_ - 1]; }
  int64_t back() const { return data()[n_ - 1]; }
  void push_back(int64_t x) {
    reserve(n_ + 1);
    data()[n_++] = x;
  }
  void pop_back() { --n_; }
  void insert(size_t at, int64_t x) {
    push_back(x);
    int64_t* d = data();
    std::memmove(d + at + 1, d + at, (n_ - 1 - at) * sizeof(int64_t));
    d[at] = x;
  }
  void erase(size_t at) {
    int64_t* d = data();
    std::memmove(d + at, d + at + 1, (n_ - 1 - at) * sizeof(int64_t));
    --n_;
  }
  void resize(size_t n, int64_t fill = 0) {
    reserve(n);
    for (size_t i = n_; i < n; ++i) data()[i] = fill;
    n_ = static_cast<uint32_t>(n);
  }
  void clear() { n_ = 0; }
  void assign(const int64_t* p, size_t n) {
    reserve(n);
    if (n) std::memmove(data(), p, n * sizeof(int64_t));
    n_ = static_cast<uint32_t>(n);
  }
  friend bool operator==(const Ints& a, const Ints& b) {
    return a.n_ == b.n_ && std::memcmp(a.data(), b.data(), a.n_ * sizeof(int64_t)) == 0;
  }

 private:
  static constexpr uint32_t kInline = 5;
  void reserve(size_t n) {
    if (n <= cap_) return;
    size_t cap = n < 2 * size_t(cap_) ? 2 * size_t(cap_) : n;
    auto* p = new int64_t[cap];
    std::memcpy(p, data(), n_ * sizeof(int64_t));
    release();
    heap_ = p;
    cap_ = static_cast<uint32_t>(cap);
  }
  void release() {
    if (cap_ != kInline) delete[] heap_;
    cap_ = kInline;
  }
  void steal(Ints& o) {
    n_ = o.n_;
    cap_ = o.cap_;
    if (cap_ == kInline)
      std::memcpy(in_, o.in_, n_ * sizeof(int64_t));
    else
      heap_ = o.heap_;
    o.n_ = 0;
    o.cap_ = kInline;
  }
  uint32_t n_, cap_;
  union {
    int64_t in_[kInline];
    int64_t* heap_;
  };
};

inline std::ostream& operator<<(std::ostream& os, const Ints& v) { return os << IntSpan(v); }

// A pointer to something that counts its references in `refs` and frees itself in `destroy()`.
// Counts are plain: whoever touches one holds the GIL.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT
  explicit Ref(T* p) : p_(p) {
    if (p_) ++p_->refs;
  }
  static Ref adopt(T* p) {
    Ref r;
    r.p_ = p;
    return r;
  }
  Ref(const Ref& o) : Ref(o.p_) {}
  Ref(Ref&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> o) : p_(o.release()) {}  // NOLINT
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && --p_->refs == 0) p_->destroy();
  }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  T* release() {
    T* p = p_;
    p_ = nullptr;
    return p;
  }
  friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

inline int64_t product(IntSpan v) {
  int64_t n = 1;
  for (int64_t x : v) n *= x;
  return n;
}

// A dimension given by the user, negative ones counted from the end; 0-d tensors take 0 and -1.
int64_t wrap_dim(int64_t dim, int64_t ndim);

}  // namespace flambeau

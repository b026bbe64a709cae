// A list whose first N items lie in place: edges, saved tensors, arguments of a node.
#pragma once
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace flambeau {

template <class T, uint32_t N>
class Small {
 public:
  using value_type = T;
  Small() = default;
  Small(const Small&) = delete;
  Small& operator=(const Small&) = delete;
  ~Small() {
    clear();
    if (data_ != in_place()) ::operator delete(data_);
  }

  uint32_t size() const { return n_; }
  bool empty() const { return n_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + n_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + n_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& back() { return data_[n_ - 1]; }
  const T& back() const { return data_[n_ - 1]; }

  void reserve(size_t n) {
    if (n > cap_) grow(n);
  }
  template <class... A>
  T& emplace_back(A&&... a) {
    if (n_ == cap_) grow(n_ + 1);
    T* p = new (data_ + n_) T(std::forward<A>(a)...);
    ++n_;
    return *p;
  }
  void push_back(T x) { emplace_back(std::move(x)); }
  void resize(size_t n) {
    reserve(n);
    while (n_ > n) data_[--n_].~T();
    while (n_ < n) new (data_ + n_++) T();
  }
  void clear() {
    while (n_ > 0) data_[--n_].~T();
  }

 private:
  T* in_place() { return reinterpret_cast<T*>(room_); }
  void grow(size_t n) {
    size_t cap = n < 2 * size_t(cap_) ? 2 * size_t(cap_) : n;
    T* p = static_cast<T*>(::operator new(cap * sizeof(T)));
    for (uint32_t i = 0; i < n_; ++i) {
      new (p + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    if (data_ != in_place()) ::operator delete(data_);
    data_ = p;
    cap_ = static_cast<uint32_t>(cap);
  }

  T* data_ = in_place();
  uint32_t n_ = 0, cap_ = N;
  alignas(T) unsigned char room_[N * sizeof(T)];
};

}  // namespace flambeau

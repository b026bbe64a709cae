// Parsing a schema text: "f(Tensor input, int[2] size=1, *, ScalarType? dtype=None) -> (Tensor a,
// Tensor b)".
#include <cctype>
#include <cstdlib>

#include "op.h"

namespace flambeau {
namespace {

class SchemaParser {
 public:
  explicit SchemaParser(const std::string& text) : s_(text) {}

  Schema parse() {
    Schema out;
    out.name = word();
    expect('(');
    bool keyword_only = false;
    while (!accept(')')) {
      if (accept('*')) {
        keyword_only = true;
      } else {
        out.args.push_back(argument(keyword_only));
        if (!keyword_only) ++out.positional;
      }
      accept(',');
    }
    skip();
    check(s_.compare(at_, 2, "->") == 0, "schema without a result: ", s_);
    at_ += 2;
    results(out);
    skip();
    check(at_ == s_.size(), "schema with something left over: ", s_);
    return out;
  }

 private:
  void skip() {
    while (at_ < s_.size() && std::isspace(static_cast<unsigned char>(s_[at_]))) ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ >= s_.size() || s_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) { check(accept(c), "schema wants '", c, "' at ", at_, ": ", s_); }
  std::string word() {
    skip();
    size_t from = at_;
    while (at_ < s_.size() &&
           (std::isalnum(static_cast<unsigned char>(s_[at_])) || s_[at_] == '_' || s_[at_] == '.' ||
            s_[at_] == '-' || s_[at_] == '+'))
      ++at_;
    return s_.substr(from, at_ - from);
  }

  void type(Argument& a) {
    struct Name {
      const char* text;
      ArgType one, list;
    };
    static constexpr Name names[] = {
        {"Tensor", ArgType::tensor, ArgType::tensors},
        {"int", ArgType::integer, ArgType::ints},
        {"float", ArgType::floating, ArgType::floats},
        {"bool", ArgType::boolean, ArgType::ints},
        {"Scalar", ArgType::scalar, ArgType::floats},
        {"ScalarType", ArgType::dtype, ArgType::dtype},
        {"Device", ArgType::device, ArgType::device},
        {"Layout", ArgType::layout, ArgType::layout},
        {"MemoryFormat", ArgType::memory_format, ArgType::memory_format},
        {"str", ArgType::string, ArgType::string},
        {"Generator", ArgType::generator, ArgType::generator},
    };
    std::string w = word();
    const Name* found = nullptr;
    for (const Name& n : names)
      if (w == n.text) found = &n;
    check(found, "schema with an unknown type '", w, "': ", s_);
    a.type = found->one;
    if (accept('(')) {  // (a!)
      word();
      a.written = accept('!');
      expect(')');
    }
    bool optional = accept('?');
    if (accept('[')) {
      a.type = found->list;
      a.optional_items = optional;
      std::string n = word();
      if (!n.empty()) a.length = std::atoll(n.c_str());
      expect(']');
      optional = accept('?');
    }
    a.optional = optional;
  }

  Value literal(const Argument& a) {
    skip();
    if (accept('[')) {
      Ints v;
      while (!accept(']')) {
        v.push_back(std::atoll(word().c_str()));
        accept(',');
      }
      if (a.type == ArgType::floats) return Value(std::vector<double>(v.begin(), v.end()));
      return Value(v);
    }
    if (accept('"')) {
      size_t end = s_.find('"', at_);
      std::string v = s_.substr(at_, end - at_);
      at_ = end + 1;
      return Value(v);
    }
    std::string w = word();
    if (w == "None") return Value();
    if (w == "True" || w == "False") return Value(w == "True");
    if (w == "contiguous_format") return Value(MemoryFormat::contiguous);
    if (w == "preserve_format") return Value(MemoryFormat::preserve);
    if (a.type == ArgType::ints) {  // int[2] padding=0
      return Value(Ints(static_cast<size_t>(a.length ? a.length : 1), std::atoll(w.c_str())));
    }
    if (w == "inf") return Value(std::numeric_limits<double>::infinity());
    bool real = w.find_first_of(".e") != std::string::npos;
    if (real || a.type == ArgType::floating) return Value(std::atof(w.c_str()));
    return Value(static_cast<int64_t>(std::atoll(w.c_str())));
  }

  Argument argument(bool keyword_only) {
    Argument a;
    type(a);
    a.keyword_only = keyword_only;
    a.name = word();
    if (accept('=')) {
      a.has_default = true;
      a.fallback = literal(a);
    }
    return a;
  }

  void result(Schema& out) {
    Argument a;
    type(a);
    skip();
    bool named = at_ < s_.size() && (std::isalpha(static_cast<unsigned char>(s_[at_])));
    out.results.push_back(named ? word() : "");
    out.result_types.push_back(a.type);
    if (a.type == ArgType::tensors) out.returns_list = true;
  }

  void results(Schema& out) {
    if (!accept('(')) {
      result(out);
      return;
    }
    while (!accept(')')) {
      result(out);
      accept(',');
    }
  }

  const std::string& s_;
  size_t at_ = 0;
};

}  // namespace

Schema Schema::parse(const std::string& text) { return SchemaParser(text).parse(); }

}  // namespace flambeau

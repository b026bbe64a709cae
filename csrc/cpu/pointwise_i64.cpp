// The pointwise loops of integers and bool.
#include "pointwise_loops.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

FLAMBEAU_REGISTER(pointwise_loops_i64, enter_all<int64_t>);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

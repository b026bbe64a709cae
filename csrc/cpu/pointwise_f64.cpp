// The pointwise loops of float64.
#include "pointwise_loops.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

FLAMBEAU_REGISTER(pointwise_loops_f64, enter_all<double>);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

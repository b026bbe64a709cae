// The pointwise loops of float32.
#include "pointwise_loops.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

FLAMBEAU_REGISTER(pointwise_loops_f32, enter_all<float>);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

// The pointwise loops of complex numbers.
#include "pointwise_loops.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

FLAMBEAU_REGISTER(pointwise_loops_c128, enter_all<Cx>);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

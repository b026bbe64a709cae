// The backward pass that is under way in this thread.
#pragma once
#include "autograd.h"

namespace flambeau {

bool is_reached(Node* n);  // whether it brings the node a gradient
int64_t current_walk();  // its number; -1 where there is none

}  // namespace flambeau

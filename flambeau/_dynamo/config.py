"""Settings of the compiler that programs set. `recompile_limit`: how many graphs are made of one
function for a backend of the program's own; nothing reads the others."""

suppress_errors = False
cache_size_limit = recompile_limit = 8
capture_scalar_outputs = False
verbose = False
assume_static_by_default = True
automatic_dynamic_shapes = True

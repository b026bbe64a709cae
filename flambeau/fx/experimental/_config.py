"""Switches of symbolic shapes, which libraries set: shapes are known here, so nothing reads them."""

use_duck_shape = True
translation_validation = False

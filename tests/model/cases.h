/* The cases; cases.inc names them once, for this header, the list in main.c and ctest. */
#ifndef NPI_MODEL_CASES_H
#define NPI_MODEL_CASES_H

#include "model/engine.h"

#define MODEL_CASE(name) extern const struct model_case model_case_##name;
#include "model/cases.inc"
#undef MODEL_CASE

#endif

# Compares the layout of this build with the published one.
execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE now COMMAND_ERROR_IS_FATAL ANY)
file(READ "${EXPECTED}" published)
if(NOT now STREQUAL published)
  file(WRITE "${WORK}/layout.now" "${now}")
  execute_process(COMMAND diff -u "${EXPECTED}" "${WORK}/layout.now")
  message(FATAL_ERROR "the public structs or numbers changed. New lines: copy ${WORK}/layout.now "
    "to ${EXPECTED}. Changed lines break programs that are compiled already.")
endif()

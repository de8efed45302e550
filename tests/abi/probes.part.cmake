# The probe points that the sources name are in the library, with the arguments that src/base/probe.h says.
numapool_abi_test(probes "${CMAKE_COMMAND}" -D "SOURCE=${PROJECT_SOURCE_DIR}"
  -D "LIBRARY=$<TARGET_FILE:numapool_shared>" -D "BUILT=${NUMAPOOL_PROBES}"
  -P "${CMAKE_CURRENT_SOURCE_DIR}/probes.cmake")

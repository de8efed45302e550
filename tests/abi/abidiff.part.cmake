# The library against the dump of what was published for this kind of processor.
if(NOT NUMAPOOL_SANITIZE)
  numapool_abi_test(abidiff "${CMAKE_COMMAND}" -D "LIBRARY=$<TARGET_FILE:numapool_shared>"
    -D "DUMP=${CMAKE_CURRENT_SOURCE_DIR}/numapool-${CMAKE_SYSTEM_PROCESSOR}.abi"
    -D "SOURCE=${PROJECT_SOURCE_DIR}" -D "WORK=${CMAKE_CURRENT_BINARY_DIR}/abidiff"
    -P "${CMAKE_CURRENT_SOURCE_DIR}/abidiff.cmake")
endif()

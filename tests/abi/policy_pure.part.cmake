# The decisions are pure: what their objects leave undefined is at most a memory copy.
numapool_abi_test(policy_pure "${CMAKE_COMMAND}" -D "NM=${CMAKE_NM}"
  -D "OBJECTS=$<TARGET_OBJECTS:numapool_policy>"
  -P "${CMAKE_CURRENT_SOURCE_DIR}/policy_pure.cmake")

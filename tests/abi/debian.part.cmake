# The Debian package says the same as the sources: its version, its name, its list of functions.
numapool_abi_test(debian "${CMAKE_COMMAND}" -D "DEBIAN=${PROJECT_SOURCE_DIR}/src/package/debian"
  -D "MAP=${PROJECT_SOURCE_DIR}/src/package/numapool.map" -D "VERSION=${PROJECT_VERSION}"
  -D "SOVERSION=${abi_version}" -P "${CMAKE_CURRENT_SOURCE_DIR}/debian.cmake")

set(memory_objects numapool_memory numapool_queue numapool_os numapool_topology numapool_base
  PkgConfig::HWLOC PkgConfig::NUMA)
if(NUMAPOOL_CONFIG_FILE)
  list(APPEND memory_objects PkgConfig::LIBCONFIG)
endif()

numapool_test(pages_test unit SOURCES pages_test.c LIBS numapool_os)
numapool_test(return_list_test unit SOURCES return_list_test.c LIBS numapool_queue numapool_os)
numapool_test(space_test unit SOURCES space_test.c LIBS ${memory_objects})
numapool_test(chunk_test unit SOURCES chunk_test.c LIBS ${memory_objects})
numapool_test(block_test unit SOURCES block_test.c LIBS ${memory_objects})
numapool_test(cache_test unit SOURCES cache_test.c LIBS ${memory_objects})
target_link_options(cache_test PRIVATE LINKER:--wrap=npi_space_unreserve)
numapool_test(scratch_test unit SOURCES scratch_test.c LIBS ${memory_objects})

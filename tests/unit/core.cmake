# Tests of src/base, os, queue and of what can be had of src/flow without a pool.
foreach(stem histogram snapshot prng ewma)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c LIBS numapool_base)
endforeach()
foreach(stem clock park thread usage machine_idle)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c LIBS numapool_os numapool_base)
endforeach()
foreach(stem ring ring_threads gate)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c
    LIBS numapool_queue numapool_os numapool_base)
endforeach()

# The stops of flow know one another, so these link everything.
set(core_libraries ${NUMAPOOL_ALL_OBJECTS} ${private_libraries})
foreach(stem group shard shard_lanes shard_steps shard_threads wake)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c LIBS ${core_libraries} TIMEOUT 240)
endforeach()
numapool_test(watchdog_test unit SOURCES watchdog_test.c LIBS ${core_libraries})

numapool_test(flow_clock_test unit SOURCES flow_clock_test.c LIBS ${core_libraries})
target_link_options(flow_clock_test PRIVATE
  LINKER:--wrap=npi_clock_ticks LINKER:--wrap=npi_clock_now_ns LINKER:--wrap=npi_park_wait)

numapool_test(usage_sample_test unit SOURCES usage_sample_test.c LIBS ${core_libraries})
target_link_options(usage_sample_test PRIVATE LINKER:--wrap=npi_thread_usage)

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
foreach(stem group shard shard_lanes shard_steps shard_threads wake registry)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c LIBS ${core_libraries} TIMEOUT 900)
endforeach()
numapool_test(watchdog_test unit SOURCES watchdog_test.c LIBS ${core_libraries})

numapool_test(flow_clock_test unit SOURCES flow_clock_test.c LIBS numapool_wrappable)
target_compile_definitions(flow_clock_test PRIVATE NPI_WRAPPABLE)
target_link_options(flow_clock_test PRIVATE
  LINKER:--wrap=npi_clock_ticks LINKER:--wrap=npi_clock_now_ns LINKER:--wrap=npi_park_wait)

numapool_test(usage_sample_test unit SOURCES usage_sample_test.c LIBS ${core_libraries})
target_link_options(usage_sample_test PRIVATE LINKER:--wrap=npi_thread_usage)

# Are the sanitizers really on? A planted mistake of each kind has to be reported.
if(NUMAPOOL_SANITIZE)
  add_executable(sanitizer_plant sanitizer_plant.c)
  target_link_libraries(sanitizer_plant PRIVATE numapool_dev)
  set(plants_address "leak=LeakSanitizer: detected memory leaks" "use=heap-use-after-free"
    "overflow=signed integer overflow")
  set(plants_thread "race=data race")
  foreach(plant ${plants_${NUMAPOOL_SANITIZE}})
    string(REGEX MATCH "^([a-z]+)=(.*)$" _ "${plant}")
    add_test(NAME unit/sanitizer_${CMAKE_MATCH_1} COMMAND sanitizer_plant ${CMAKE_MATCH_1})
    # Not to abort: ctest takes that for a failure whatever was printed.
    set_tests_properties(unit/sanitizer_${CMAKE_MATCH_1} PROPERTIES LABELS unit TIMEOUT 600
      PASS_REGULAR_EXPRESSION "${CMAKE_MATCH_2}" FAIL_REGULAR_EXPRESSION "nobody noticed: -?[1-9]"
      ENVIRONMENT "ASAN_OPTIONS=abort_on_error=0;TSAN_OPTIONS=halt_on_error=1")
  endforeach()
endif()

numapool_test(refusals_test unit SOURCES refusals_test.c LIBS numapool_os numapool_base)
target_link_options(refusals_test PRIVATE
  LINKER:--wrap=madvise,--wrap=munmap,--wrap=mprotect,--wrap=pthread_attr_init
  LINKER:--wrap=syscall,--wrap=fopen,--wrap=clock_gettime)

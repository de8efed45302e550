# Tests of topology/. Each links that folder alone: it stands on the public header and nothing else.
foreach(stem
    cpuset quantity settings machine discover discover_text cgroup place
    plan_random plan_machines config_file config_env)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c topology_support.c LIBS numapool_topology)
endforeach()
foreach(stem home works group merge)
  numapool_test(plan_${stem}_test unit
    SOURCES plan_${stem}_test.c plan_support.c topology_support.c LIBS numapool_topology)
endforeach()

numapool_test(topology_memory_test unit
  SOURCES topology_memory_test.c topology_support.c LIBS numapool_topology)
target_link_options(topology_memory_test PRIVATE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup)

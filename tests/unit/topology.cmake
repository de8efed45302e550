# Tests of topology/. Each links that folder alone: it stands on the public header and nothing else.
foreach(stem cpuset machine plan plan_random plan_machines cgroup discover place quantity settings config_file config_env)
  numapool_test(${stem}_test unit SOURCES ${stem}_test.c topology_support.c LIBS numapool_topology)
endforeach()

numapool_test(topology_memory_test unit
  SOURCES topology_memory_test.c topology_support.c LIBS numapool_topology)
target_link_options(topology_memory_test PRIVATE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup)
